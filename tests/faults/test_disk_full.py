"""The disk fills up while steps go on: exit code 74, with rank, file and cure; older checkpoints are whole, and once there
is space the same command finishes the run. Needs the right to mount a tmpfs, else exits with 77.

usage: test_disk_full.py NEXUS FOLDER DPxTP
"""
import json
import re
import subprocess
import sys
from pathlib import Path

from harness import Workspace, fail

SKIPPED = 77
# A checkpoint of the first stage has 1.2 MB (weights, two moments, HDF5): two fit, the third one does not.
SIZE = "3M"


def unmount(folder):
    while subprocess.run(["umount", "-l", folder], capture_output=True).returncode == 0:
        pass


def mount(folder):
    folder.mkdir(parents=True)
    try:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "nexus-test", folder], capture_output=True,
                              text=True)
        problem = done.stderr.strip() if done.returncode else ""
    except FileNotFoundError:
        problem = "there is no mount command"
    if problem:
        print(f"skipped: this test mounts a tmpfs of {SIZE}, and cannot: {problem}")
        sys.exit(SKIPPED)


def require_error(work, output):
    lines = [line for line in output.splitlines() if line.startswith("nexus: error: ")]
    if len(lines) != 1:
        fail(f"{len(lines)} error lines instead of one:\n{output}")
    wanted = r"failed on rank [\d,]+: .*No space left on device; /.*checkpoints/base/\d+\.tmp-.*; .*(free|space).*" \
             r"run the same command again"
    if not re.search(wanted, lines[0]):
        fail(f"the line names not rank, file and cure: {lines[0]}")
    status = (work.folder / "run" / "STATUS").read_text()
    if not re.fullmatch(re.escape(lines[0]) + r" \| reason \w+ \| exit 74 \| generation 1\n", status):
        fail(f"STATUS says {status!r}, stderr {lines[0]!r}")
    return lines[0]


def require_whole_checkpoints(work, saves):
    rows = json.loads(work.call("ckpt", "ls", work.folder / "run", "--json"))
    if [row["step"] for row in rows] != saves:
        fail(f"the list holds {rows} instead of steps {saves}")
    for row in rows:
        work.call("ckpt", "verify", row["path"])
    if left := work.unfinished_saves("run"):
        fail(f"the failed save was left behind: {left}")


def fill_and_free(work, campaign, disk):
    code, output = work.train(campaign)
    if code != 74:
        fail(f"on a full disk the job exited with {code}:\n{output}")
    line = require_error(work, output)
    require_whole_checkpoints(work, [10, 20])
    # The save of step 30 fails in the background, and the next one, of step 40, asks for its result at the latest.
    last = max(step for _, step in work.losses("run"))
    if not 30 <= last <= 40:
        fail(f"the job ended at step {last}, not soon after its save of step 30")
    subprocess.run(["mount", "-o", "remount,size=64M", disk], check=True)
    work.train_to_end(campaign)
    return f"{line}\nthe job ended {last - 30} steps after the save began"


def main():
    nexus, folder, grid = sys.argv[1:]
    disk = Path(folder) / "run" / "checkpoints"
    unmount(disk)  # of a run of this test that was killed
    work = Workspace(nexus, folder)
    work.use_grid(grid)
    mount(disk)
    try:
        work.train_to_end(work.campaign("straight", 60, "10 steps"))
        text = fill_and_free(work, work.campaign("run", 60, "10 steps"), disk)
        work.require_equal("straight", "run")
        work.require_same_records("straight", "run")
    finally:
        unmount(disk)
    print(f"{text}; after space was made: same bits")


main()
