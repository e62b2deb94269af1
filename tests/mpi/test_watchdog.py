#!/usr/bin/env python3
"""The watchdog ends jobs that hang, names the rank that held them up, and leaves healthy ones alone.

usage: test_watchdog.py CASE RANKS FOLDER PROGRAM LAUNCH...      (LAUNCH: mpirun and its options, without -n)
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

EXIT_CODE = 74
HOOK_PATIENCE = 5.0  # as in watchdog.cpp
PATIENCE = 300  # seconds after which a job counts as hung; nothing else is judged by it


def fail(text):
    print("FAILED: " + text)
    sys.exit(1)


def expect(condition, text):
    if not condition:
        fail(text)


class Job:
    """A stall_program under mpirun, run to its end."""

    def __init__(self, case, ranks, folder, program, launch):
        self.ranks, self.folder = ranks, Path(folder)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.dumps = self.folder / "dumps" / "job"
        command = [*launch, "-n", str(ranks), program, case, str(self.dumps)]
        self.begin = time.monotonic()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.first_line = self.process.stdout.readline()

    def read_limit(self):
        """In seconds, scaled to the steps of this host."""
        expect(self.first_line.startswith("LIMIT "), f"the job began with {self.first_line!r}")
        self.limit = float(self.first_line.split()[1])

    def finish(self):
        try:
            self.out, self.err = self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            fail(f"the job still ran after {PATIENCE} s")
        self.seconds = time.monotonic() - self.begin
        print(f"exit {self.process.returncode} after {self.seconds:.1f} s\n{self.out}{self.err}")
        return self.process.returncode

    def line(self):
        lines = [line for line in self.err.splitlines() if line.startswith("nexus: error: ")]
        expect(len(lines) == 1, f"{len(lines)} lines instead of one")
        expect(f"STATUS {lines[0].removeprefix('nexus: error: ')}" in self.out, "the callback got another line")
        return lines[0]

    def dump(self, rank):
        path = self.dumps / f"rank{rank}.txt"
        expect(path.exists(), f"no {path}")
        return path.read_text()


def require_idle_seconds(line, limit):
    """The watchdog looks every twentieth of the limit, and rounds to tenths and then to whole seconds."""
    told = re.search(r"no progress for (\d+) s in ", line)
    expect(told and limit - 0.6 <= int(told.group(1)) <= 1.1 * limit + 0.6, f"not the limit of {limit} s")


def require_end(job, waiting, suspect):
    """The job ends by itself, with one line that says who waits and whom to suspect."""
    code = job.finish()
    expect(code == EXIT_CODE, f"exit code {code}")
    line = job.line()
    require_idle_seconds(line, job.limit)
    for part in [" in stage s1 step 12", waiting, suspect, f"; {job.dumps}; "]:
        expect(part in line, f"no {part!r} in the line")


def require_dump(text, *parts):
    for part in ["phase: stage s1 step 12\n", "stack:\n", *parts]:
        expect(part in text, f"no {part!r} in the dump:\n{text}")


def case_stop(job):
    others = job.ranks - 1
    # The 21st all-reduce on the world: nothing else was called before.
    require_end(job, f"{others} of {job.ranks} ranks wait in all_reduce (world, sequence 21)",
                "; rank 1 left no dump (stopped, dead or its node is gone)")
    expect(not (job.dumps / "rank1.txt").exists(), "a stopped rank wrote a dump")
    for rank in [0, *range(2, job.ranks)]:
        require_dump(job.dump(rank), "operation: all_reduce\n", "inside: yes\n", "elements: 20000\n", "type: f32\n",
                     "nexus::Communicator::Request::wait()", "nexus::stall::reduce_some(")


def case_skip(job):
    require_end(job, f"{job.ranks - 1} of {job.ranks} ranks wait in all_reduce (world, sequence 21)",
                "; rank 1 is in no collective, last in all_reduce (world, sequence 20)")
    require_dump(job.dump(1), "inside: no\n", "nexus::stall::sleep_for_ever()")
    require_dump(job.dump(0), "inside: yes\n", "nexus::Communicator::Request::wait()")


def case_astray(job):
    require_end(job, f"{job.ranks - 1} of {job.ranks} ranks wait in all_reduce (world, sequence 21)",
                "; rank 1 is in split (world, sequence 21) instead")
    require_dump(job.dump(1), "inside: yes\n", "operation: split\n")


def case_late(job):
    """Ranks that have longer to go are asked for their dumps."""
    require_end(job, f"{job.ranks - 1} of {job.ranks} ranks wait in all_reduce", "; rank 1 is in no collective")
    require_dump(job.dump(1), "nexus::stall::sleep_for_ever()")


def case_hook(job):
    """What a rank must let go of, it lets go of before it leaves."""
    require_end(job, f"{job.ranks - 1} of {job.ranks} ranks wait in all_reduce", "; rank 1 is in no collective")
    for rank in range(job.ranks):
        expect(Path(f"{job.dumps}.hook{rank}").exists(), f"rank {rank} left without its hook")


def case_stuck_hook(job):
    """Letting go may hang, too; the job has been explained by then."""
    require_end(job, f"{job.ranks - 1} of {job.ranks} ranks wait in all_reduce", "; rank 1 is in no collective")
    expect(job.seconds > job.limit + HOOK_PATIENCE, "the hook got no time")


def case_start(job):
    expect(job.finish() == EXIT_CODE, "the start was not ended")
    expect("ALIVE" in job.out, "the limit of the steps ended the start")
    require_idle_seconds(job.line(), 2 * job.limit)
    expect(" s in start: rank 0 is in no collective" in job.line(), "the line is wrong")
    expect("nexus::stall::sleep_for_ever()" in job.dump(0), "no stack")


def case_failsafe(job):
    expect(job.finish() == EXIT_CODE, "a callback that hangs kept the job alive")


def require_quiet(job):
    expect(job.finish() == 0, "a healthy job was ended")
    expect(job.err == "" and not job.dumps.exists(), "a healthy job left traces")


def case_continued(job):
    pid = int(re.match(r"PID (\d+)", job.process.stdout.readline()).group(1))
    os.kill(pid, signal.SIGSTOP)
    time.sleep(3 * job.limit)
    os.kill(pid, signal.SIGCONT)
    require_quiet(job)
    expect(job.seconds > 3 * job.limit, "the job was not stopped")


def main():
    case, ranks, folder, program, *launch = sys.argv[1:]
    cases = {"stop": case_stop, "skip": case_skip, "astray": case_astray, "late": case_late,
             "hook": case_hook, "stuck_hook": case_stuck_hook, "start": case_start,
             "failsafe": case_failsafe, "steady": require_quiet, "off": require_quiet, "continued": case_continued}
    job = Job(case, int(ranks), folder, program, launch)
    job.read_limit()
    cases[case](job)


if __name__ == "__main__":
    main()
