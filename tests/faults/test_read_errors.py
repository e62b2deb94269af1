"""A read that fails says nothing about a checkpoint: once, and it is tried again; on and on, and the launch ends with 74. Either
way nothing is renamed, and the next launch goes on from the newest checkpoint.

usage: test_read_errors.py NEXUS FOLDER DPxTP FAILING_IO_LIBRARY
"""
import errno
import os
import sys

from harness import Workspace, fail

nexus, folder, grid, library = sys.argv[1:]
work = Workspace(nexus, folder)
work.use_grid(grid)
last_rank = work.ranks - 1
straight = work.campaign("straight", steps_per_stage=4)
work.train_to_end(straight)
campaign = work.campaign("run", steps_per_stage=4)
work.train_to_end(campaign, "--until-stage", "base")


def checkpoints():
    return sorted(str(path.relative_to(work.folder)) for path in (work.folder / "run" / "checkpoints").glob("*/*"))


def launch(calls, code, path, count, *more):
    """With calls on that path failing on the last rank."""
    work.variables = {"LD_PRELOAD": library, "NEXUS_FAIL_IO": f"{calls}:{code}:0:{count}:{last_rank}:{path}",
                      "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}
    result = work.train(campaign, *more)
    work.variables = {}
    return result


before = checkpoints()
newest = work.newest("run")
shard = f"{newest}/shard"
for calls in ("pread", "open"):
    for code in (errno.EIO, errno.ESTALE):
        what = f"{calls} failing with {errno.errorcode[code]}"
        status, output = launch(calls, code, shard, 1, "--until-stage", "base")
        if status != 0 or "trying again" not in output:
            fail(f"{what} once: exit {status}\n{output}")
        status, output = launch(calls, code, shard, -1, "--until-stage", "base")
        if status != 74 or os.strerror(code) not in output:
            fail(f"{what} for ever: exit {status}\n{output}")
        if checkpoints() != before:
            fail(f"{what}: {before} became {checkpoints()}\n{output}")
        status = (work.folder / "run" / "STATUS").read_text()
        if "exit 74" not in status:
            fail(f"{what}: STATUS says {status}")

# A save that cannot read back what it wrote: the chain may go on (74), and nothing of it is left.
status, output = launch("pread", errno.EIO, ".tmp-", -1)
if status != 74 or os.strerror(errno.EIO) not in output:
    fail(f"a save that cannot be read back: exit {status}\n{output}")
if checkpoints() != before:
    fail(f"a save that cannot be read back: {before} became {checkpoints()}\n{output}")

output = work.train_to_end(campaign)
if f"path {os.path.relpath(newest, work.folder / 'run')}" not in output:
    fail(f"the launch after it did not go on from {newest}:\n{output}")
work.require_equal("straight", "run")
work.require_same_records("straight", "run")
print(f"on {grid}: 8 launches with reads that fail, one with a save that does, no checkpoint touched, same bits")
