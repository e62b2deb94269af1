#!/usr/bin/env python3
"""Jobs on GPUs end by themselves when a rank is stopped, killed or busy elsewhere, and say which one it was.

usage: test_gpu_watchdog.py CASE RANKS FOLDER PROGRAM LAUNCH...      (LAUNCH: mpirun and its options, without -n)
"""
import os
import sys
import time
from pathlib import Path

import test_watchdog as cpu  # the same promises without GPUs

SKIPPED = 77
LIMIT = 3  # seconds, as in gpu_stall_program.cpp
# The connecting collective is the world's first; 40 all-reduces come before rank 1 stops.
WAITS = "ranks wait in all_reduce (world/gpu, sequence 42)"


def begin(job):
    """Until rank 1 is about to stop."""
    line = job.first_line
    if line.startswith("skipped: "):
        print(line)
        job.finish()
        sys.exit(SKIPPED)
    cpu.expect(line == "BEGIN\n", f"the job did not begin: {line!r}")


def require_end(job, suspect):
    begin(job)
    code = job.finish()
    cpu.expect(code == cpu.EXIT_CODE, f"exit code {code}")
    line = job.line()
    cpu.require_idle_seconds(line, LIMIT)
    for part in ["no progress for ", " s in stage s1 step 12: ", f"{job.ranks - 1} of {job.ranks} {WAITS}", suspect]:
        cpu.expect(part in line, f"no {part!r} in the line")
    for rank in [0, *range(2, job.ranks)]:
        text = job.dump(rank)
        cpu.expect("inside: yes\n" in text and "communicator: world/gpu\n" in text, f"the dump of rank {rank}:\n{text}")


def case_stop(job):
    require_end(job, "; rank 1 left no dump (stopped, dead or its node is gone)")


def case_skip(job):
    require_end(job, "; rank 1 is in no collective, last in ")
    cpu.expect("inside: no\n" in job.dump(1), "the dump of rank 1")


def case_flood(job):
    """A host that is held up in a launch cannot look for anything itself."""
    require_end(job, "; rank 1 is in no collective, last in ")


def case_kill(job):
    """mpirun ends the others, or NCCL notices first."""
    begin(job)
    code = job.finish()
    cpu.expect(code != 0, "a job that lost a rank ended well")


def processes_of(job):
    """Command lines of what still runs of the job."""
    mine = str(job.dumps).encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
        except OSError:
            continue
        if mine in command.split(b"\0") and int(entry.name) != os.getpid():
            found.append(f"{entry.name}: {command!r}")
    return found


def main():
    case, ranks, folder, program, *launch = sys.argv[1:]
    cases = {"stop": case_stop, "skip": case_skip, "flood": case_flood, "kill": case_kill}
    job = cpu.Job(case, int(ranks), folder, program, launch)
    cases[case](job)
    time.sleep(1)  # a process that is being killed gives its GPU back first
    cpu.expect(not processes_of(job), f"processes were left behind: {processes_of(job)}")


if __name__ == "__main__":
    main()
