"""Starts that cannot go on end with an exit code of nexus and one error line, never by a signal: whatever else begins or ends
in the process at that moment must not bring it down.

usage: test_failing_starts.py NEXUS FOLDER ROUNDS
"""
import subprocess
import sys
from collections import Counter

from harness import PATIENCE, Workspace, fail

MISTAKES = {  # each at another moment of the start
    "a folder that cannot be made": ["out=/dev/null/run"],
    "no training data": ["data.train.0.path=/nowhere/train"],
    "no validation data": ["data.valid=/nowhere/valid"],
    "a width that heads do not divide": ["model.D=33"],
    "a batch that samples do not divide": ["batch.global_tokens=250"],
    "a checkpoint that is not there": ["init_from=/nowhere/checkpoint"],
}


def start(work, campaign, mistake, ranks):
    """The exit code, after it has been checked with what was said."""
    work.ranks, work.settings = ranks, MISTAKES[mistake]
    done = subprocess.run(work.command(campaign), capture_output=True, text=True, env=work.environment(), timeout=PATIENCE)
    what = f"{ranks} ranks with {mistake}: exit code {done.returncode}"
    if not 0 < done.returncode < 128:
        fail(f"{what}, which is no refusal:\n{done.stdout}{done.stderr}")
    if done.stderr.count("nexus: error: ") != 1 or "signal" in done.stderr:
        fail(f"{what}, but not one line that says why:\n{done.stderr}")
    return done.returncode


def main():
    nexus, folder, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
    work = Workspace(nexus, folder)
    campaign = work.campaign("run")
    codes = Counter(start(work, campaign, mistake, ranks)
                    for _ in range(rounds) for mistake in MISTAKES for ranks in (1, 2))
    print(f"{sum(codes.values())} starts refused with the exit codes {dict(codes)}")


main()
