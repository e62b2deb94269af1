"""A Slurm of our own on this host: munge, a controller and some nodes, each a namespace that looks like another machine.

Nothing of the system is touched: configuration, keys, sockets, ports, logs and state are in one folder. Whatever ends the
program that started it, kill -9 included, ends the daemons and every job: the kernel ends a namespace with its first process.

usage: testbed.py FOLDER [SHARED_FOLDER...]      starts one, prints what to export, and stops it at end of input: to try things by hand
"""
import contextlib
import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

SKIPPED = 77  # ctest's SKIP_RETURN_CODE
PATIENCE = 300  # seconds after which a start counts as hung
NODES = 6
CPUS = 8  # of a node, whatever the host has: jobs of several scenarios share a node

# Pairs of nodes: `batch` for most; `contested`, which `urgent` preempts; `fragile`, whose slurmd gets killed.
# Whatever Slurm would take for a failure because it takes long takes minutes: the host may be busy. cred_expire is also how
# long a requeued job waits; `hurry` shortens that.
CONFIGURATION = """\
ClusterName=nexus
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire={requeue_delay}
StateSaveLocation={folder}/controller
SlurmdSpoolDir={folder}/nodes/%n/spool
SlurmctldPidFile={folder}/controller.pid
SlurmdPidFile={folder}/nodes/%n/slurmd.pid
SlurmctldLogFile={folder}/controller.log
SlurmdLogFile={folder}/nodes/%n/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,sched_interval=2,sched_min_interval=0,batch_sched_delay=0,default_queue_depth=100
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
KillWait=5
MessageTimeout=90
BatchStartTimeout=300
SlurmdTimeout=600
MinJobAge=3600
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/finished.txt
{nodes}
PartitionName=batch Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP
PartitionName=contested Nodes=n[3-4] MaxTime=INFINITE PriorityTier=1 GraceTime=120 State=UP
PartitionName=urgent Nodes=n[3-4] MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF State=UP
PartitionName=fragile Nodes=n[5-6] MaxTime=INFINITE State=UP
"""


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(SKIPPED)


def require_host():
    """Ends the program as skipped where a testbed cannot run."""
    missing = [p for p in ("munged", "slurmctld", "slurmd", "sbatch", "srun", "mpirun") if not shutil.which(p, path=search_path())]
    if missing:
        skip(f"{', '.join(missing)} not found; install the packages slurm-wlm and munge (scripts/install-deps)")
    if os.geteuid() != 0:
        skip("Slurm's daemons start jobs as their users: this test needs root")
    probe = subprocess.run(["unshare", "--mount", "--uts", "--pid", "--fork", "--mount-proc", "hostname", "n1"],
                           capture_output=True, text=True)
    if probe.returncode != 0:
        skip(f"the nodes need namespaces of their own, which this container forbids ({probe.stderr.strip()}); "
             "run it with CAP_SYS_ADMIN")


def slurm_version():
    """(year, month) of the controller."""
    words = subprocess.run([shutil.which("slurmctld", path=search_path()), "-V"], capture_output=True, text=True).stdout
    return tuple(int(number) for number in re.search(r"(\d+)\.(\d+)", words).groups())


def search_path():
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Testbed:
    """`with Testbed(folder)`: SLURM_CONF of this process and its children names a running Slurm until the block ends."""

    def __init__(self, folder, *shared, requeue_delay=120):
        self.folder = Path(folder).resolve()
        self.shared = [Path(path).resolve() for path in shared]
        self.daemons = []
        self.machines = {}  # name of a node: what started its first process
        self.hurried = {}  # id of a job that waited to be started again: when it was told to hurry
        if len(f"{self.folder}/munge/socket") > 100:
            sys.exit(f"FAILED: {self.folder} is too long a path for a socket; give the tests a shorter folder")
        if f" {self.folder}/" in Path("/proc/self/mountinfo").read_text():
            sys.exit(f"FAILED: something is mounted below {self.folder}; unmount it before this folder is deleted")
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in ("munge", "controller"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "munge").chmod(0o700)
        self.names = [f"n{i + 1}" for i in range(NODES)]
        for name in self.names:
            self.make_disk(name)
        ports = free_ports(NODES + 1)
        nodes = [f"NodeName={name} NodeHostname={name} NodeAddr=127.0.0.1 Port={port} CPUs={CPUS} State=UNKNOWN"
                 for name, port in zip(self.names, ports[1:])]
        self.configuration = self.folder / "slurm.conf"
        self.configuration.write_text(CONFIGURATION.format(
            host=socket.gethostname().split(".")[0], port=ports[0], folder=self.folder, requeue_delay=requeue_delay,
            nodes="\n".join(nodes)))
        # Slurm reads this one as well if it is there: no cgroups, whatever the host has. The plugin for version 1 makes none
        # before somebody asks for them; that for version 2 wants some at once.
        plugin = "disabled" if slurm_version() >= (24, 5) else "cgroup/v1"
        (self.folder / "cgroup.conf").write_text(f"CgroupPlugin={plugin}\n")

    def spawn(self, *command):
        log = open(self.folder / "start.log", "ab")
        daemon = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                  start_new_session=True, preexec_fn=die_with_parent)
        log.close()
        self.daemons.append(daemon)
        return daemon

    def start_munge(self):
        folder = self.folder / "munge"
        key = folder / "key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        self.spawn("munged", "--foreground", "--force", f"--key-file={key}", f"--socket={folder}/socket",
                   f"--pid-file={folder}/pid", f"--log-file={folder}/log", f"--seed-file={folder}/seed")

    def start_controller(self):
        self.controller = self.spawn("slurmctld", "-D", "-f", self.configuration)

    def start_node(self, name):
        """The node's first process, as this host counts processes, is written down for the scenarios."""
        self.machines[name] = self.spawn("unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc",
                              Path(__file__).parent / "node.sh", name, self.folder, *self.shared)
        first = self.wait(lambda: children_of(self.machines[name].pid), f"node {name} to start")[0]
        (self.folder / "nodes" / name / "first.pid").write_text(str(first))

    def make_disk(self, name):
        node = self.folder / "nodes" / name
        (node / "spool").mkdir(parents=True)
        (node / "tmp").mkdir()
        (node / "tmp").chmod(0o1777)
        (node / "boot_id").write_text(f"{uuid.uuid4()}\n")

    def forget_disk(self, name):
        """Slurm 22.05 leaves PMIx's socket in its spool and a folder in /tmp, and fails at the same step of the same job for as
        long as they are there. Our nodes forget them at a power cut, as nodes without disks do."""
        node = self.folder / "nodes" / name
        for kept in ("spool", "tmp"):
            (node / kept).rename(node / f"{kept}-{time.time_ns()}")
        self.make_disk(name)

    def serve(self):
        """To be called again and again while scenarios run."""
        self.serve_power_buttons()
        self.hurry()

    def hurry(self):
        """A job that was queued again may start in two seconds, later than the second in which its first start was ended, once
        nothing of that start is left: a slurmstepd goes on for seconds after its job has ended, on a busy host for many, and
        holds PMIx's socket, without which the next start's step of the same number fails."""
        waiting = [line.split() for line in said("squeue", "--noheader", "--states=PENDING", "--format=%A %r")]  # of an array's task its own id
        jobs = [job for job, reason in waiting if reason == "BeginTime" and time.monotonic() > self.hurried.get(job, 0) + 20]
        left = self.jobs_with_daemons() if jobs else set()
        for job in set(jobs) - left:
            self.hurried[job] = time.monotonic()
            said("scontrol", "update", f"JobId={job}", "StartTime=now+2")

    def jobs_with_daemons(self):
        """Ids of jobs of which a node that is up has a slurmstepd."""
        down = set(said("sinfo", "-h", "-N", "-t", "down", "-o", "%N"))
        up = set()
        for name in set(self.names) - down:
            with contextlib.suppress(OSError):
                first = (self.folder / "nodes" / name / "first.pid").read_text()
                up.add(os.readlink(f"/proc/{first}/ns/pid"))
        jobs = set()
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and (entry / "comm").read_text() == "slurmstepd\n" and os.readlink(entry / "ns" / "pid") in up:
                    jobs.update(re.findall(r"\[(\d+)\.", (entry / "cmdline").read_text()))
        return jobs

    def serve_power_buttons(self):
        """Starts nodes anew whose power a scenario has cut and, by a file `power_on`, asked for again."""
        for name in self.names:
            button = self.folder / "nodes" / name / "power_on"
            if button.exists():
                self.daemons.remove(self.machines[name])
                self.machines[name].wait()
                self.forget_disk(name)
                self.start_node(name)
                button.unlink()

    def wait(self, condition, what):
        deadline = time.monotonic() + PATIENCE
        while not (answer := condition()):
            ended = any(d.poll() is not None for d in self.daemons)
            if time.monotonic() > deadline or ended:
                logs = [self.folder / "start.log", self.folder / "controller.log", *self.folder.glob("nodes/*/slurmd.log")]
                ends = "".join(f"--- {log}\n{tail(log)}" for log in logs)
                self.stop()
                trouble = "a daemon ended while the testbed waited" if ended else f"the testbed waited {PATIENCE} s without success"
                sys.exit(f"FAILED: {trouble} for {what}\n{ends}")
            time.sleep(0.1)
        return answer

    def __enter__(self):
        os.environ["PATH"] = search_path()
        os.environ["SLURM_CONF"] = str(self.configuration)
        self.start_munge()
        self.wait((self.folder / "munge" / "socket").exists, "munged")
        self.start_controller()
        for name in self.names:
            self.start_node(name)
        self.wait(lambda: idle_nodes() == set(self.names), "all nodes to be idle")
        return self

    def stop(self):
        """By the recorded process ids, and nothing else."""
        for daemon in reversed(self.daemons):
            if daemon.poll() is None:
                daemon.send_signal(signal.SIGTERM)
        for daemon in reversed(self.daemons):
            try:
                daemon.wait(timeout=3)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        self.daemons = []

    def __exit__(self, *_):
        self.stop()


def tail(path, lines=15):
    return "".join(path.read_text(errors="replace").splitlines(keepends=True)[-lines:]) if path.exists() else "(no file)\n"


def children_of(pid):
    """Process ids whose parent is `pid`."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) == pid:
                found.append(int(entry.name))
    return found


def said(*command):
    """Lines of one of Slurm's commands; none where it fails."""
    return subprocess.run(command, capture_output=True, text=True).stdout.splitlines()


def idle_nodes():
    return set(said("sinfo", "-h", "-N", "-t", "idle", "-o", "%N"))


def main():
    require_host()
    with Testbed(*sys.argv[1:]) as bed:
        print(f"export SLURM_CONF={bed.configuration}", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
