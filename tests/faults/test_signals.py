"""Requests: signals and a STOP file end the job with 75 and a checkpoint; CHECKPOINT_NOW saves and goes on. Ignored signals
stay ignored."""
import os
import signal
import sys
import time

from harness import Workspace, fail, ranks_of, wait_until

nexus, folder, ranks = sys.argv[1], sys.argv[2], int(sys.argv[3])
work = Workspace(nexus, folder, ranks)
campaign = work.campaign("run", steps_per_stage=4000, every="1h")


def metrics_size():
    metrics = work.folder / "run" / "metrics.jsonl"
    return metrics.stat().st_size if metrics.exists() else 0


def run_until(action):
    process = work.start(campaign)
    metrics = work.folder / "run" / "metrics.jsonl"
    before = metrics.stat().st_size if metrics.exists() else 0
    for _ in range(400):
        time.sleep(0.05)
        if metrics.exists() and metrics.stat().st_size > before + 400:
            break
    else:
        fail("the run made no step in 20 s")
    action(process)
    return process


def expect_stop(name, action):
    process = run_until(action)
    try:
        process.wait(timeout=30)
    except Exception:
        process.kill()
        fail(f"{name}: still running after 30 s")
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
    for _ in range(200):
        time.sleep(0.05)
        if not request.exists():
            break
    else:
        fail("CHECKPOINT_NOW was not served in 10 s")
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
    before = metrics_size()
    wait_until(lambda: metrics_size() > before + 2000 or process.poll() is not None, 60, "steps after ignored signals")
    if process.poll() is not None:
        fail("a signal that was ignored when nexus started ended the job")
    os.kill(victim, signal.SIGUSR2)


if ranks == 1:  # mpirun gives its ranks signals of its own
    ignore_interrupts(signal.SIG_IGN)
    expect_stop("ignored INT and HUP, then SIGUSR2", ignored_then_asked)
