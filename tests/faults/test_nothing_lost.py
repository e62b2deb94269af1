"""Nothing begins anew in silence, whatever vanished; a broken output, stale variables of Slurm and a wrong path lose nothing.

usage: test_nothing_lost.py NEXUS FOLDER
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import time

from harness import PATIENCE, Workspace, fail, ranks_of, wait_until

work = Workspace(*sys.argv[1:])
CAMPAIGN = work.campaign("run", steps_per_stage=6, every="2 steps")
RUN = work.folder / "run"
KEPT = work.folder / "kept"  # the finished run, copied for each mistake
RECORDS = ("metrics.jsonl", "eval.jsonl", "ledger.jsonl")


def launch(*more, environment=None, **streams):
    """Returns (exit code, stdout, stderr)."""
    done = subprocess.run(work.command(CAMPAIGN, *more), env={**work.environment(), **(environment or {})}, timeout=PATIENCE, text=True,
                          **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams})
    return done.returncode, done.stdout or "", done.stderr or ""


def rows(folder=RUN):
    return {name: (folder / name).read_text() for name in RECORDS if (folder / name).exists()}


def expect(name, code, words, answer):
    if answer[0] != code:
        fail(f"{name}: exit code {answer[0]} instead of {code}:\n{answer[1]}{answer[2]}")
    text = answer[1] + answer[2]
    if missing := [word for word in words if word not in text]:
        fail(f"{name}: no {missing} in:\n{text}")
    print(f"{name}: {code}")


def restore():
    shutil.rmtree(RUN, ignore_errors=True)
    shutil.copytree(KEPT, RUN, symlinks=True)


def expect_refused(name, damage, words, code=3, again=True):
    """Twice, because the first refusal must not take away what the second one goes by."""
    restore()
    damage()
    before = rows()
    for _ in range(2):
        expect(name, code, words, launch())
        if rows() != before:
            fail(f"{name}: the records have changed")
    if again:  # the cure of the message
        expect(f"{name}, then --resume never", 75, ["kept in"], launch("--resume", "never", "--stop-after", "0s"))
        if rows(RUN / "earlier" / "1") != before:
            fail(f"{name}: earlier/1 holds other records than there were")


def checkpoints():
    return RUN / "checkpoints"


def rename_all_bad():
    for path in list(checkpoints().glob("*/[0-9]*")):
        path.rename(str(path) + ".bad")


def empty_mount():
    shutil.rmtree(checkpoints())
    (work.folder / "mount").mkdir(exist_ok=True)
    checkpoints().symlink_to(work.folder / "mount")


def no_mount():
    shutil.rmtree(checkpoints())
    checkpoints().symlink_to(work.folder / "nowhere")


def records_wiped_too():
    shutil.rmtree(checkpoints())
    (RUN / "ledger.jsonl").unlink()


def vanished():
    work.train_to_end(CAMPAIGN)
    shutil.copytree(RUN, KEPT)
    gone = ["commits", "no checkpoint"]
    expect_refused("no checkpoints/", lambda: shutil.rmtree(checkpoints()), [*gone, "deep/0000006"])
    expect_refused("all *.bad", rename_all_bad, [*gone, "set aside as *.bad"])
    expect_refused("an empty mount", empty_mount, gone)
    expect_refused("a dangling link", no_mount, ["a link to a folder that is not there"], code=74, again=False)
    expect_refused("no ledger either", records_wiped_too, [*gone])
    expect_refused("the last stage gone", lambda: shutil.rmtree(checkpoints() / "deep"),
                   ["deep/0000006", "--resume checkpoints/wide/0000006"], again=False)
    # The cure, with the path that the message and the log print.
    expect("--resume with a path below the run folder", 0, ["resume at step 6"], launch("--resume", "checkpoints/wide/0000006"))
    work.require_equal("kept", "run")
    expect("--resume with a path that is none", 2, ["no such checkpoint", "run folder"], launch("--resume", "checkpoints/wide/7"))
    restore()
    expect("--resume never beside checkpoints", 2, ["--resume is never"], launch("--resume", "never"))
    expect("an undamaged run", 0, ["done"], launch())


def killed_before_the_first_commit():
    shutil.rmtree(RUN)
    for name in (RUN, checkpoints(), checkpoints() / "base"):
        name.mkdir()
    (RUN / "metrics.jsonl").touch()
    process = work.start(work.campaign("run", steps_per_stage=4000, every="1h"))
    wait_until(lambda: (RUN / "metrics.jsonl").stat().st_size > 1000, "the first steps")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = rows()
    status = json.loads(work.call("slurm", "status", RUN, "--json"))["status"]
    if not status.startswith("killed stage base"):
        fail(f"status says {status!r} of a launch that was killed")
    work.campaign("run", steps_per_stage=6, every="2 steps")
    expect("a start after one that was killed before its first commit", 75, ["earlier/1"], launch("--stop-after", "0s"))
    if rows(RUN / "earlier" / "1") != before:
        fail("the records of a start that committed nothing are not kept")


def broken_output():
    shutil.rmtree(RUN)
    with open("/dev/full", "w") as full:
        expect("train >/dev/full", 74, ["warning: standard output", "No space left", "nexus: error: "], launch(stdout=full))
    if "done" not in (RUN / "STATUS").read_text() or "run tiny done" not in (RUN / "logs" / "nexus.log").read_text():
        fail("a full standard output was more than a nuisance")
    expect("the same command again", 0, ["done"], launch())
    shell = lambda text: subprocess.run(["bash", "-o", "pipefail", "-c", text, "bash", work.nexus, str(CAMPAIGN), str(work.folder)],
                                        env=work.environment(), capture_output=True, text=True, timeout=PATIENCE)
    shutil.rmtree(RUN)
    for name, code, text in (("train | reader that leaves", 74, '"$1" train "$2" | head -1 >/dev/null'),
                             ("train >&-", 0, '"$1" train "$2" <&- >&- 2>&-'),
                             ("data info >/dev/full", 74, '"$1" data info "$3/data" >/dev/full'),
                             ("data info >&-", 74, '"$1" data info "$3/data" >&-'),
                             ("config show >/dev/full", 74, '"$1" config show "$2" >/dev/full'),
                             ("--help >/dev/full", 74, '"$1" --help >/dev/full'),
                             ("data build >&-", 0, '"$1" data build "$3/text.txt" --vocab 300 --out "$3/again" >&-')):
        done = shell(text)
        expect(name, code, [] if code == 0 else ["nexus: error: "], (done.returncode, "", done.stderr))
    work.call("data", "verify", work.folder / "again")


def stale_variables():
    job = {"SLURM_JOB_ID": "4711", "SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "0", "SLURM_JOB_END_TIME": "1700000000"}
    # A squeue that answers as Slurm does, and one that does not.
    tools = work.folder / "bin"
    tools.mkdir()
    squeue = tools / "squeue"

    def with_squeue(script, *settings, **more):
        squeue.write_text("#!/bin/sh\n" + script + "\n")
        squeue.chmod(0o755)
        shutil.rmtree(RUN, ignore_errors=True)
        return launch("--stop-after", "0s", *settings, environment={"PATH": f"{tools}:{os.environ['PATH']}", **job, **more})

    invalid = "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1"
    expect("a job that is over", 75, ["SLURM_JOB_ID=4711 is left out"], with_squeue(invalid))
    if open("/proc/self/uid_map").read().split() == ["0", "0", "4294967295"]:  # elsewhere users have other numbers
        expect("another user's job", 75, ["SLURM_JOB_ID=4711 is left out"],
               with_squeue(f"echo '4711|RUNNING|{os.geteuid() + 1}|1:00:00'"))
    silent = "echo 'Unable to contact slurm controller' >&2; exit 1"
    one = {"SLURM_STEP_NUM_TASKS": "1"}
    expect("no answer, and an end that has passed", 75, ["SLURM_JOB_END_TIME is in the past"], with_squeue(silent, **one))
    expect("no answer, and no time", 75, ["SLURM_JOB_END_TIME is no time"],
           with_squeue(silent, **one, SLURM_JOB_END_TIME="soon"))
    # Near by the campaign's margin, and yet so far that no slow start comes too late.
    soon = str(int(time.time()) + 3600)
    expect("a real job near its end", 75, ["the job's time limit"],
           with_squeue(silent, "-s", "slurm.stop_margin=2h", **one, SLURM_JOB_END_TIME=soon))
    # Somebody at a shell breaks off as often as he likes.
    shutil.rmtree(RUN)
    alone = {**work.environment(), "SLURM_JOB_ID": "4711"}
    for _ in range(4):
        process = subprocess.Popen(work.command(CAMPAIGN, "-s", "checkpoint.every=1h", "-s", "stages.0.tokens=10M"), env=alone,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        wait_until(lambda: "running stage" in ((RUN / "STATUS").read_text() if (RUN / "STATUS").exists() else ""), "a step")
        os.kill(ranks_of(process)[0], signal.SIGKILL)
        process.wait()
        (RUN / "STATUS").unlink()
    expect("after four starts that were broken off", 75, [], launch("--stop-after", "0s", environment={"SLURM_JOB_ID": "4711"}))


def dry_run():
    shutil.rmtree(RUN)
    expect("a dry run", 0, [], launch("--dry-run"))
    for setting in ("data.train.0.path=nowhere", "data.valid=nowhere", "tokenizer.path=nowhere", "init_from=nowhere"):
        code, _, errors = launch("--dry-run", "-s", setting)
        if code == 0 or "nowhere" not in errors:
            fail(f"a dry run with {setting} ended with {code}:\n{errors}")
    if RUN.exists():
        fail("a dry run has made the run folder")
    print("dry runs name what is not there")


for part in (vanished, killed_before_the_first_commit, broken_output, stale_variables, dry_run):
    part()
