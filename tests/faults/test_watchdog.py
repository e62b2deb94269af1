"""A rank that is stopped for good ends its job in time, by name; the same command then finishes the run with the same bits.

usage: test_watchdog.py NEXUS FOLDER DPxTP RANK      (RANK gets the SIGSTOP)
"""
import os
import re
import signal
import sys
import time

from harness import Workspace, fail, ranks_of, wait_for_end, wait_until

LIMIT = 4.0  # seconds; a step takes milliseconds, so that even a crowded machine makes one in time
GRACE = 15.0  # from the limit to the end of the job: dumps are waited for some seconds, the rest is mpirun
SHORT_STOP = 2.0
STEPS, EVERY = 80, "20 steps"


def start_and_stop(work, campaign, rank, steps, errors):
    """Starts the run and stops a rank when `steps` steps are on record; returns the job and the rank's process id."""
    metrics = work.folder / "run" / "metrics.jsonl"

    def far_enough():
        if process.poll() is not None:
            fail(f"the job ended with {process.returncode} before its step {steps}")
        return metrics.exists() and metrics.read_text().count('"kind":"step"') >= steps

    process = work.start(campaign, errors)
    wait_until(far_enough, 60, f"{steps} steps", every=0.005)
    victim = ranks_of(process)[rank]
    os.kill(victim, signal.SIGSTOP)
    return process, victim


def require_line(work, rank, dumps, stderr):
    """One line on stderr, the same in STATUS, that names the stopped rank, what the others wait in and the dumps."""
    lines = [line for line in stderr.splitlines() if line.startswith("nexus: error")]
    if len(lines) != 1:
        fail(f"{len(lines)} error lines instead of one:\n{stderr}")
    status = (work.folder / "run" / "STATUS").read_text()
    if not re.fullmatch(re.escape(lines[0]) + r" \| exit 74 \| generation 1\n", status):
        fail(f"STATUS says {status!r}, stderr {lines[0]!r}")
    pattern = (rf"nexus: error: no progress for \d+ s in stage \w+ (step|saving step|committing step|evaluation after "
               rf"step) \d+: [12] of {work.ranks} ranks wait in \w+ \((world|dp|tp)(/gpu)?, sequence \d+\); rank {rank} left no "
               rf"dump \(stopped, dead or its node is gone\); {re.escape(str(dumps))}; look at .*, then run the same "
               r"command again")
    if not re.fullmatch(pattern, lines[0]):
        fail(f"the line is not as promised:\n{lines[0]}")
    return lines[0]


def require_dumps(work, rank, dumps):
    for other in range(work.ranks):
        path = dumps / f"rank{other}.txt"
        if other == rank:
            if path.exists():
                fail("a stopped rank wrote a dump")
            continue
        text = path.read_text()
        for part in ("phase: stage ", "operation: ", "\ninside: yes\n", "\nstack:\n"):
            if part not in text:
                fail(f"no {part!r} in {path}:\n{text}")
        if "nexus::" not in text.split("\nstack:\n")[1]:
            fail(f"no function of nexus in the stack of {path}:\n{text}")


def stop_for_good(work, campaign, rank):
    with open(work.folder / "stderr.txt", "w+") as errors:
        process, _ = start_and_stop(work, campaign, rank, 30, errors)
        stopped = time.monotonic()
        wait_for_end(process, LIMIT + GRACE, "one of its ranks was stopped")
        seconds = time.monotonic() - stopped
        errors.seek(0)
        stderr = errors.read()
    if process.returncode == 0:
        fail("a job that the watchdog ended exited with 0")
    if seconds < LIMIT - 0.5:
        fail(f"the job ended after {seconds:.1f} s, before the limit: {stderr}")
    folders = list((work.folder / "run" / "dumps").iterdir())
    if len(folders) != 1:
        fail(f"dump folders: {folders}")
    line = require_line(work, rank, folders[0], stderr)
    require_dumps(work, rank, folders[0])
    print(f"exit {process.returncode} {seconds:.1f} s after SIGSTOP: {line}")


def stop_for_a_while(work, campaign, rank):
    """The same command goes on, and a rank that comes back in time is no reason to end it."""
    steps = (work.folder / "run" / "metrics.jsonl").read_text().count('"kind":"step"')
    with open(work.folder / "stderr.txt", "w+") as errors:
        process, victim = start_and_stop(work, campaign, rank, steps + 20, errors)
        time.sleep(SHORT_STOP)
        os.kill(victim, signal.SIGCONT)
        wait_for_end(process, 120, "a rank was stopped for a while")
        errors.seek(0)
        if process.returncode != 0:
            fail(f"after a short stop the job exited with {process.returncode}:\n{errors.read()}")


def main():
    nexus, folder, grid, rank = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    work = Workspace(nexus, folder)
    work.use_grid(grid, f"safety.watchdog.step={LIMIT:.0f}s")
    work.train_to_end(work.campaign("straight", STEPS, EVERY))
    campaign = work.campaign("run", STEPS, EVERY)
    stop_for_good(work, campaign, rank)
    stop_for_a_while(work, campaign, rank)
    work.require_equal("straight", "run")
    work.require_same_records("straight", "run")
    print(f"grid {grid}: rank {rank} stopped, named, continued; same bits")


main()
