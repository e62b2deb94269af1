"""Scenarios on a real Slurm of our own: whatever happens to the jobs, the result is the undisturbed run's, bit for bit.

usage: run.py NEXUS FOLDER reduced|all|SCENARIO...

The scenarios run at the same time, as most of their time is waiting; each is a process with a log FOLDER/SCENARIO.log.
"""
import os
import subprocess
import sys
import time
from pathlib import Path

import testbed
from harness import Workspace, fail
from scenarios import ALL, ALONE, REDUCED
from slurm_rig import STEPS

AT_ONCE = 5


def prepare(nexus, folder):
    """Data and the undisturbed run, which never sees Slurm."""
    work = Workspace(nexus, folder, ranks=2)
    work.train_to_end(work.campaign("straight", STEPS, "10 steps"))


def start(nexus, folder, name):
    log = open(folder / f"{name}.log", "w")
    process = subprocess.Popen([sys.executable, Path(__file__).parent / "scenarios.py", nexus, folder, name], stdout=log,
                               stderr=subprocess.STDOUT, preexec_fn=testbed.die_with_parent)
    return name, process, time.monotonic()


def next_of(waiting, running):
    """The first scenario that may run beside those that run; None if there is none."""
    if len(running) >= AT_ONCE:
        return None
    taken = {ALONE[name] for name, _, _ in running} - {None}
    return next((name for name in waiting if ALONE[name] not in taken), None)


def run_all(bed, nexus, folder, names):
    """{scenario: (exit code, seconds)}; logs of failed ones are printed."""
    waiting, running, results = list(names), [], {}
    while waiting or running:
        while name := next_of(waiting, running):
            waiting.remove(name)
            running.append(start(nexus, folder, name))
        time.sleep(0.3)
        bed.serve()
        for entry in [entry for entry in running if entry[1].poll() is not None]:
            running.remove(entry)
            name, process, began = entry
            results[name] = process.returncode, time.monotonic() - began
            if process.returncode != 0:
                print(f"=== {name} FAILED\n" + (folder / f"{name}.log").read_text(), flush=True)
            else:
                print(f"ok {results[name][1]:5.0f} s  {name}", flush=True)
    return results


def main():
    nexus, folder = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    names = {"reduced": REDUCED, "all": list(ALL)}.get(sys.argv[3], sys.argv[3:])
    if unknown := [name for name in names if name not in ALL]:
        fail(f"no scenario {unknown[0]}; there are {', '.join(ALL)}")
    testbed.require_host()
    began = time.monotonic()
    prepare(nexus, folder / "work")
    with testbed.Testbed(folder / "slurm", folder, nexus.parent, Path(__file__).parent) as bed:
        results = run_all(bed, nexus, folder / "work", names)
    failed = [name for name, (code, _) in results.items() if code != 0]
    print(f"{len(results) - len(failed)} of {len(results)} scenarios in {time.monotonic() - began:.0f} s")
    if failed:
        fail(", ".join(failed))


main()
