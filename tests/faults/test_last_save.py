"""An error that every rank sees loses no save: the checkpoint begun after the last good step is committed before the job ends.

usage: test_last_save.py NEXUS FOLDER DPxTP
"""
import json
import sys

from harness import Workspace, fail

nexus, folder, grid = sys.argv[1:]
work = Workspace(nexus, folder)
work.use_grid(grid)
# A rate at which the weights overflow after the first updates. Every step begins a save, and the next step, which would commit
# it, fails: without a commit on the way out, the last step's save would be lost.
campaign = work.campaign("overflows", every="1 steps")
code, output = work.train(campaign, "-s", "stages.0.lr.peak=1000", "-s", "optimizer.weight_decay=100", "-s", "optimizer.clip=0")
if code != 4:
    fail(f"a run that overflows exited with {code}:\n{output}")
last = max(work.steps("overflows"))
newest = json.loads(work.call("ckpt", "ls", work.folder / "overflows", "--json"))[-1]
if newest["step"] != last[1]:
    fail(f"the last good step is {last[1]}, the newest checkpoint is of step {newest['step']}:\n{output}")
work.call("ckpt", "verify", newest["path"])
if work.unfinished_saves("overflows"):
    fail(f"unfinished saves were left behind: {work.unfinished_saves('overflows')}")
print(f"on {grid}: failed in step {last[1] + 1}, saved step {newest['step']}")
