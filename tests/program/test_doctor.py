"""`nexus doctor` finds what is wrong, names the cure, and leaves nothing behind: with Slurm's commands faked, with mpirun real
and faked, on disks that are full or read-only, and as ranks of one launch.

The disks need the right to mount a tmpfs; without it they are left out and the test says so.
"""
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from harness import PATIENCE, fail

nexus, folder = sys.argv[1], Path(sys.argv[2])
disks = [folder / "full", folder / "read-only"]
for disk in disks:  # of a run of this test that was killed
    while subprocess.run(["umount", "-l", disk], capture_output=True).returncode == 0:
        pass
shutil.rmtree(folder, ignore_errors=True)
folder.mkdir(parents=True)
as_root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
unset = ("SLURM_", "OMPI_", "PMIX_")
kept = ("OMPI_MCA_plm_rsh_agent",)  # of a machine without ssh
clean = {**{k: v for k, v in os.environ.items() if k in kept or not k.startswith(unset)}, "OMP_NUM_THREADS": "1"}
launch = ["mpirun", "-n", "2", "--oversubscribe", "-q", "--mca", "mpi_yield_when_idle", "1", "--bind-to", "none", "--mca",
          "btl_vader_single_copy_mechanism", "none"]
everything = ["--mib", "1"]  # speeds are not judged


def doctor(*words, code, launcher=(), **environment):
    """The findings of `nexus doctor --json`; the same without --json must exit alike."""
    command = [*launcher, nexus, "doctor", *words, "--json"]
    done = subprocess.run(command, env={**clean, **environment}, capture_output=True, text=True, timeout=PATIENCE, cwd=folder)
    if done.returncode != code:
        fail(f"{' '.join(map(str, command))} exited with {done.returncode}, not {code}: {done.stdout} {done.stderr}")
    report = json.loads(done.stdout)
    if report["problems"] != sum(finding["level"] == "problem" for finding in report["findings"]):
        fail(f"{report['problems']} problems are counted of {report['findings']}")
    for finding in report["findings"]:
        if finding["level"] in ("warning", "problem") and not finding["cure"]:
            fail(f"no cure: {finding}")
    return report["findings"]


def require(findings, level, part, cure=""):
    for finding in findings:
        if finding["level"] == level and part in finding["what"] and cure in finding["cure"]:
            return finding
    fail(f"no {level} '{part}' with cure '{cure}' among {json.dumps(findings, indent=1)}")


def forbid(findings, part):
    if any(part in finding["what"] for finding in findings):
        fail(f"'{part}' is among {json.dumps(findings, indent=1)}")


def fake(name, **scripts):
    """A folder of shell scripts to stand in PATH."""
    path = folder / name
    path.mkdir()
    for command, text in scripts.items():
        (path / command).write_text("#!/bin/sh\n" + text)
        (path / command).chmod(0o755)
    return path


SLURM = {command: 'echo "slurm 22.05.8"\n' for command in ("sbatch", "squeue", "scancel")}
SLURM["sinfo"] = 'case $* in *version*) echo "slurm 22.05.8";; *) printf "batch|up|infinite|2|idle\\nold|up|1:00|1|down*\\n";; esac\n'
SCONTROL = """case "$*" in
*version*) echo "slurm 22.05.8";;
*config*) printf "JobRequeue = 0\\nKillWait = 30 sec\\nMpiDefault = none\\nPreemptMode = CANCEL\\nPreemptType = preempt/qos\\n";;
*partition*) echo "PartitionName=batch Default=YES MaxTime=2:00:00 DefaultTime=NONE GraceTime=0 PreemptMode=CANCEL State=UP";;
*"job 7"*) echo "JobId=7 Requeue=0 Restarts=1 TimeLimit=01:00:00 EndTime=2026-01-01T00:00:00";;
esac
"""
# Starts the probe twice, as an srun whose MPI does not fit does: each with Slurm's variables, neither with a world.
SINGLETONS = """case "$*" in *version*) echo "slurm 22.05.8"; exit;; *list*) printf "MPI plugin types are...\\n\\tpmix\\n" >&2; exit;; esac
for task in 0 1; do
  SLURM_PROCID=$task SLURM_STEP_NUM_TASKS=2 "$nexus" doctor probe
done
"""


def check_slurm():
    bare = fake("bare")
    require(doctor("slurm", code=0, PATH=str(bare)), "note", "no Slurm here")
    require(doctor("slurm", code=2, PATH=str(bare), SLURM_JOB_ID="7"), "problem", "commands are missing: sbatch")
    srun = {"srun": SINGLETONS}
    path = f"{fake('slurm', scontrol=SCONTROL, **srun, **SLURM)}:/usr/bin:/bin"
    found = doctor("slurm", code=0, PATH=path, SLURM_JOB_ID="7")
    require(found, "ok", "slurm 22.05.8, 6 commands")
    require(found, "ok", "partition batch: 2 of 2 nodes in service")
    require(found, "warning", "partition old: 0 of 1 nodes in service", "sinfo --list-reasons")
    require(found, "note", "JobRequeue 0", "--requeue")
    require(found, "note", "MpiDefault none", "srun --mpi=pmix")
    require(found, "warning", "PreemptMode CANCEL")
    require(found, "warning", "GraceTime 0")
    require(found, "warning", "this is job 7", "scontrol update JobId=7 Requeue=1")
    broken = {**SLURM, "sinfo": 'case $* in *version*) echo "slurm 22.05.8";; *) printf "\\033[31mno controller\\n" >&2; exit 1;; esac\n'}
    path = f"{fake('broken', scontrol=SCONTROL, **srun, **broken)}:/usr/bin:/bin"
    require(doctor("slurm", code=2, PATH=path), "problem", "does not work: ?[31mno controller", "scontrol ping")
    lost = {**SLURM, "sinfo": 'echo "sinfo: fatal: Could not establish a configuration source" >&2; exit 1\n'}
    path = f"{fake('lost', scontrol=SCONTROL, **srun, **lost)}:/usr/bin:/bin"
    require(doctor("slurm", code=0, PATH=path), "note", "this host belongs to no cluster")


def check_launchers():
    found = doctor("mpi", code=0)
    require(found, "ok", "one world of 2")
    figures = require(found, "ok", "mpirun and MPI library are both") and [f["figures"] for f in found if "all-reduce" in f["what"]]
    if len(figures) != 1 or figures[0]["bytes_per_second"] <= 0:
        fail(f"figures of the all-reduce: {figures}")
    if os.geteuid() == 0:
        require(found, "warning", "mpirun refuses to run as root", "OMPI_ALLOW_RUN_AS_ROOT=1")
        forbid(doctor("mpi", code=0, **as_root), "refuses to run as root")
    require(doctor("mpi", code=2, PATH=str(fake("no-mpirun"))), "problem", "there is no mpirun in PATH", "scripts/install-deps")
    # An mpirun of another MPI starts ranks that do not find each other.
    other = 'case "$*" in *version*) echo "HYDRA build details:";; *) "$nexus" doctor probe; "$nexus" doctor probe;; esac\n'
    found = doctor("mpi", code=2, PATH=f"{fake('other', mpirun=other)}:/usr/bin:/bin", nexus=nexus)
    require(found, "problem", "mpirun is \"HYDRA build details:\"", "type -a mpirun")
    require(found, "problem", "2 processes that are each a world of one", "use the mpirun of the MPI library")
    crash = fake("crash", mpirun='echo "orted is not here" >&2; exit 213\n')
    require(doctor("mpi", code=2, PATH=f"{crash}:/usr/bin:/bin"), "problem", "exit code 213: orted is not here", "see it yourself: mpirun")
    absent = fake("absent", mpirun='echo "launch: it could not access or execute an executable" >&2; exit 134\n')
    require(doctor("mpi", code=2, PATH=f"{absent}:/usr/bin:/bin"), "problem", "does not find", "all nodes share")
    # In an allocation srun is tried too.
    path = f"{fake('srun', srun=SINGLETONS)}:{os.environ['PATH']}"
    found = doctor("mpi", code=2, PATH=path, SLURM_JOB_ID="7", nexus=nexus, OMPI_MCA_ras="^slurm", OMPI_MCA_plm="^slurm", **as_root)
    require(found, "problem", "srun --mpi=pmix --ntasks=2", "mpirun inside the allocation")
    no_pmix = 'case "$*" in *list*) printf "MPI plugin types are...\\n\\tnone\\n" >&2;; esac\n'
    path = f"{fake('no-pmix', srun=no_pmix)}:{os.environ['PATH']}"
    found = doctor("mpi", code=0, PATH=path, SLURM_JOB_ID="7", OMPI_MCA_ras="^slurm", OMPI_MCA_plm="^slurm", **as_root)
    require(found, "warning", "does not name pmix", "launcher: mpirun")


def check_ranks():
    runs = folder / "shared"
    runs.mkdir()
    found = doctor("all", "--run", str(runs), *everything, code=0, launcher=launch, **as_root)
    require(found, "ok", "2 ranks on 1 host")
    require(found, "ok", "all ranks run the same executable")
    require(found, "ok", "2 ranks on 1 host see each other's files")
    if {f["area"] for f in found} < {"mpi", "fs", "slurm", "clocks", "versions"}:
        fail(f"areas {sorted({f['area'] for f in found})}")
    if left := list(runs.iterdir()):
        fail(f"left behind: {left}")
    # What srun does where its MPI does not fit.
    tasks = {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "2", "SLURM_JOB_ID": "7"}
    require(doctor("mpi", code=2, **tasks), "problem", "srun started 2 tasks without PMIx", "srun --mpi=pmix")
    require(doctor("mpi", code=2, **tasks, PMI_RANK="0"), "problem", "MPI sees one rank in each", "srun --mpi=pmix")


def check_folders():
    hostile = folder / "$(touch pwned); 'x'"
    hostile.mkdir()
    found = doctor("fs", "--run", str(hostile), *everything, code=0)
    require(found, "ok", "works: O_EXCL, flock, fsync, fsync of folders, rename")
    speed = require(found, "ok", "fsync and reads") if any("fsync and reads" in f["what"] and f["level"] == "ok" for f in found) \
        else require(found, "warning", "fsync and reads")
    if set(speed["figures"]) != {"write_bytes_per_second", "read_bytes_per_second"}:
        fail(f"figures {speed['figures']}")
    if list(hostile.iterdir()) or (folder / "pwned").exists():
        fail("the folder is not as it was")
    require(doctor("fs", "--run", str(folder / "later" / "run"), *everything, code=0), "note", "not there yet")
    if (folder / "later").exists():
        fail("doctor made the run folder")
    require(doctor("fs", "--run", "/proc", *everything, code=2), "problem", "cannot create a folder in /proc")
    campaign = folder / "big.yaml"
    campaign.write_text("name: big\nout: {}\nmodel: {{arch: nexusformer, D: 32, L: 2, H: 2, M: 48, A: 64, F: 64, V: 300, norm: l2}}\n"
                        "data: {{context: 32}}\nbatch: {{global_tokens: 256, micro: 2}}\n"
                        "stages: [{{name: base, tokens: 256, lr: {{peak: 1e-3, schedule: constant, warmup: 0}}}}]\n".format(folder / "it; is mine"))
    require(doctor("fs", "--campaign", str(campaign), *everything, code=0), "ok", "the campaign's largest checkpoint takes")
    return campaign


def mounted(disk, size, *more):
    disk.mkdir()
    try:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join([f"size={size}", *more]), "nexus-test", disk],
                              capture_output=True, text=True)
        return done.returncode == 0
    except FileNotFoundError:
        return False


def check_disks(campaign):
    full, read_only = disks
    try:
        if not mounted(full, "512k") or not mounted(read_only, "1M", "ro"):
            return "left out: disks that are full or read-only, which this user may not mount"
        found = doctor("fs", "--run", str(full), *everything, code=2)
        require(found, "problem", "No space left on device", "df -h")
        require(found, "warning", "lies on tmpfs")
        if list(full.iterdir()):
            fail("the full disk keeps something of ours")
        found = doctor("fs", "--run", str(full), "--campaign", str(campaign), *everything, code=2)
        require(found, "problem", "524.3 kB are free", "checkpoint.keep_last")
        found = doctor("fs", "--run", str(read_only), *everything, code=2)
        require(found, "problem", "Read-only file system", "findmnt -T")
        return "a full and a read-only disk are found"
    finally:
        for disk in disks:
            subprocess.run(["umount", "-l", disk], capture_output=True)


def check_rest():
    text = subprocess.run([nexus, "doctor", "versions"], env=clean, capture_output=True, text=True).stdout
    if "MPI Open MPI" not in text or "HDF5" not in text or not text.splitlines()[-1].startswith("nexus doctor: 0 problems"):
        fail(f"versions: {text}")
    doctor("cuda", code=0, PATH=str(fake("no-smi")))
    gpu = 'echo "0, NVIDIA H200, 570.86.15, 143771, 1, Disabled, Enabled, Default, Enabled, 5"\n'
    found = doctor("cuda", code=2, PATH=str(fake("smi", **{"nvidia-smi": gpu})))
    require(found, "problem", "GPU 0 has had 5 uncorrected memory errors", "nvidia-smi -q -d ECC -i 0")
    ntp = fake("ntp", timedatectl="echo no\n")
    require(doctor("clocks", code=0, PATH=str(ntp)), "warning", "not synchronized by a time service", "timedatectl set-ntp true")
    done = subprocess.run([nexus, "doctor", "nonsense"], capture_output=True, text=True)
    if done.returncode != 2 or "unknown area 'nonsense'" not in done.stderr:
        fail(f"an unknown area gives {done.returncode}: {done.stderr}")


check_slurm()
check_launchers()
check_ranks()
print(check_disks(check_folders()))
check_rest()
print("every fault is found and has a cure")
