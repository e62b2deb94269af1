"""A rank that is stopped for good ends its job in time, by name; the same command then finishes the run with the same bits.

usage: test_watchdog.py NEXUS FOLDER DPxTP RANK      (RANK gets the SIGSTOP)
"""
import json
import math
import os
import re
import signal
import sys
import time

from harness import Workspace, fail, ranks_of, wait_for_end, wait_until

LEAST_LIMIT, MOST_LIMIT = 4, 30  # seconds
STEPS, EVERY = 20, "10 steps"


def limit_for(work, name):
    """Whole seconds: far more than a step of this run takes on this host, as busy as it is."""
    rows = map(json.loads, (work.folder / name / "metrics.jsonl").read_text().splitlines())
    slowest = max(row["step_ms"] for row in rows if row["kind"] == "step")
    return min(max(LEAST_LIMIT, math.ceil(20 * slowest / 1000)), MOST_LIMIT)


def start_and_stop(work, campaign, rank, steps, errors):
    """Starts the run and stops a rank when it has made `steps` steps; returns the job, the rank's process id, and when it
    was not stopped yet."""
    hold = work.hold("run", steps)
    process = work.start(campaign, errors)
    ended = lambda: process.poll() is not None
    wait_until(lambda: ended() or len(ranks_of(process)) == work.ranks, "all ranks")
    ranks = ranks_of(process)
    if not hold.wait(ended):
        fail(f"the job ended with {process.returncode} before its step {steps}")
    before = time.monotonic()
    os.kill(ranks[rank], signal.SIGSTOP)
    hold.release()
    return process, ranks[rank], before


def require_line(work, rank, dumps, stderr):
    """One line on stderr, the same in STATUS, that names the stopped rank, what the others wait in and the dumps."""
    lines = [line for line in stderr.splitlines() if line.startswith("nexus: error")]
    if len(lines) != 1:
        fail(f"{len(lines)} error lines instead of one:\n{stderr}")
    status = (work.folder / "run" / "STATUS").read_text()
    if not re.fullmatch(re.escape(lines[0]) + r" \| reason hang \| exit 74 \| generation 1\n", status):
        fail(f"STATUS says {status!r}, stderr {lines[0]!r}")
    pattern = (rf"nexus: error: no progress for \d+ s in stage \w+ (step|saving step|committing step|evaluation after "
               rf"step) \d+: [1-{work.ranks - 1}] of {work.ranks} ranks wait in \w+ \((world|dp|tp)(/gpu)?, sequence \d+\); rank {rank} left no "
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


def stop_for_good(work, campaign, rank, limit):
    with open(work.folder / "stderr.txt", "w+") as errors:
        process, _, before = start_and_stop(work, campaign, rank, 34, errors)
        wait_for_end(process, "one of its ranks was stopped")
        seconds = time.monotonic() - before
        errors.seek(0)
        stderr = errors.read()
    if process.returncode == 0:
        fail("a job that the watchdog ended exited with 0")
    if seconds < limit - 0.5:
        fail(f"the job ended after {seconds:.1f} s, before the limit: {stderr}")
    folders = list((work.folder / "run" / "dumps").iterdir())
    if len(folders) != 1:
        fail(f"dump folders: {folders}")
    line = require_line(work, rank, folders[0], stderr)
    require_dumps(work, rank, folders[0])
    print(f"exit {process.returncode} {seconds:.1f} s after SIGSTOP: {line}")


def stop_for_a_while(work, campaign, rank, limit):
    """The same command goes on, and a rank that comes back in time is no reason to end it."""
    steps = (work.folder / "run" / "metrics.jsonl").read_text().count('"kind":"step"')
    with open(work.folder / "stderr.txt", "w+") as errors:
        process, victim, _ = start_and_stop(work, campaign, rank, steps + 20, errors)
        time.sleep(limit / 2)
        os.kill(victim, signal.SIGCONT)
        wait_for_end(process, "a rank was stopped for a while")
        errors.seek(0)
        if process.returncode != 0:
            fail(f"after a short stop the job exited with {process.returncode}:\n{errors.read()}")


def main():
    nexus, folder, grid, rank = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    work = Workspace(nexus, folder)
    work.use_grid(grid)
    work.train_to_end(work.campaign("straight", STEPS, EVERY))
    limit = limit_for(work, "straight")
    work.use_grid(grid, f"safety.watchdog.step={limit}s")
    campaign = work.campaign("run", STEPS, EVERY)
    stop_for_good(work, campaign, rank, limit)
    stop_for_a_while(work, campaign, rank, limit)
    work.require_equal("straight", "run")
    work.require_same_records("straight", "run")
    print(f"grid {grid}: rank {rank} stopped, named, continued; same bits")


main()
