"""Requests: signals and a STOP file end the job with 75 and a checkpoint; CHECKPOINT_NOW saves and goes on. Ignored signals
stay ignored."""
import os
import signal
import subprocess
import sys

from harness import PATIENCE, Workspace, fail, kill_session, ranks_of, wait_until

nexus, folder, ranks = sys.argv[1], sys.argv[2], int(sys.argv[3])
work = Workspace(nexus, folder, ranks)
# Stages that no host comes to the end of.
campaign = work.campaign("run", steps_per_stage=10**7, every="1h")
metrics = work.folder / "run" / "metrics.jsonl"


def steps_made():
    return metrics.read_bytes().count(b'"kind":"step"') if metrics.exists() else 0


def run_until(action):
    enough = steps_made() + 3
    process = work.start(campaign)
    wait_until(lambda: steps_made() >= enough or process.poll() is not None, f"step {enough}")
    action(process)
    return process


def expect_stop(name, action):
    process = run_until(action)
    try:
        process.wait(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        kill_session(process)
        fail(f"{name}: still running after {PATIENCE} s")
    if process.returncode != 75:
        fail(f"{name}: exit code {process.returncode} instead of 75")
    if "stopped" not in (work.folder / "run" / "STATUS").read_text():
        fail(f"{name}: STATUS does not say stopped")
    work.call("ckpt", "verify", work.newest("run"))
    print(f"{name}: exit 75 with a checkpoint")


def ignore_interrupts(action):
    """For what is started from here on: a shell that starts something in the background, and nohup."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, action)


ignore_interrupts(signal.SIG_DFL)  # whoever runs this test may have ignored them
for number in (signal.SIGUSR2, signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGHUP):
    expect_stop(number.name, lambda p: os.kill(ranks_of(p)[-1], number))  # one rank is enough
expect_stop("STOP", lambda p: (work.folder / "run" / "STOP").touch())

before = work.newest("run")


def ask_for_checkpoint(process):
    request = work.folder / "run" / "CHECKPOINT_NOW"
    request.touch()
    wait_until(lambda: not request.exists() or process.poll() is not None, "CHECKPOINT_NOW to be served")
    if process.poll() is not None:
        fail("CHECKPOINT_NOW ended the job")
    os.kill(ranks_of(process)[0], signal.SIGUSR2)


expect_stop("CHECKPOINT_NOW then SIGUSR2", ask_for_checkpoint)
if work.newest("run") == before:
    fail("no new checkpoint after CHECKPOINT_NOW")


def ignored_then_asked(process):
    victim = ranks_of(process)[0]
    for number in (signal.SIGINT, signal.SIGHUP):
        os.kill(victim, number)
    enough = steps_made() + 10
    wait_until(lambda: steps_made() >= enough or process.poll() is not None, "steps after ignored signals")
    if process.poll() is not None:
        status = (work.folder / "run" / "STATUS").read_text()
        fail(f"a signal that was ignored when nexus started ended the job: exit {process.returncode}, {status}")
    os.kill(victim, signal.SIGUSR2)


if ranks == 1:  # mpirun gives its ranks signals of its own
    ignore_interrupts(signal.SIG_IGN)
    expect_stop("ignored INT and HUP, then SIGUSR2", ignored_then_asked)
    work.variables = work.preload("take_hangup")
    expect_stop("the same where a library took HUP", ignored_then_asked)
