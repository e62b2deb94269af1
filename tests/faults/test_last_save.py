"""A run whose weights overflow ends with 4, and loses no save of before that: the newest checkpoint is finite, and of the last step
that was.

The same where such steps are skipped: what is committed after the last good update pushes no healthy checkpoint out.

usage: test_last_save.py NEXUS FOLDER DPxTP
"""
import json
import sys

from harness import Workspace, fail

nexus, folder, grid = sys.argv[1:]
work = Workspace(nexus, folder)
work.use_grid(grid)
# A rate at which the weights overflow after the first updates. Every step begins a save. Either the next step, which would
# commit it, fails, and it is committed on the way out; or the update itself has overflowed, and that step is not saved.
campaign = work.campaign("overflows", every="1 steps")
code, output = work.train(campaign, "-s", "stages.0.lr.peak=1000", "-s", "optimizer.weight_decay=100", "-s", "optimizer.clip=0")
if code != 4:
    fail(f"a run that overflows exited with {code}:\n{output}")
spoiled = "an update left a value that is not finite: " in output
if spoiled and (" is nan" not in output and " is inf" not in output and " is -inf" not in output or "rank " not in output):
    fail(f"the value, or its rank, is not named:\n{output}")
last = max(work.steps("overflows"))
newest = json.loads(work.call("ckpt", "ls", work.folder / "overflows", "--json"))[-1]
if newest["step"] != last[1] - spoiled:
    fail(f"the last good step is {last[1] - spoiled}, the newest checkpoint is of step {newest['step']}:\n{output}")
work.call("ckpt", "verify", work.folder / "overflows")  # every one is finite
if f"{newest['step']:07d}" not in (work.folder / "overflows" / "checkpoints" / "LATEST").read_text():
    fail("LATEST names another checkpoint")
if work.unfinished_saves("overflows"):
    fail(f"unfinished saves were left behind: {work.unfinished_saves('overflows')}")
print(f"on {grid}: failed in step {last[1] + 1}, saved step {newest['step']}")

# An update that leaves finite weights whose loss is not finite: every further step is skipped.
ruined = work.campaign("ruined", 40, every="1 steps")
code, output = work.train(ruined, "-s", "stages.0.lr.peak=1000", "-s", "optimizer.clip=0", "-s", "optimizer.eps=1e-30",
                          "-s", "model.norm=none", "-s", "safety.nonfinite=skip", "-s", "checkpoint.keep_last=1",
                          "-s", "eval.every=never")
if code != 4:
    fail(f"a run that only skips exited with {code}:\n{output}")
rows = [json.loads(line) for line in (work.folder / "ruined" / "metrics.jsonl").read_text().splitlines()]
good = max(row["step"] for row in rows if row["kind"] == "step" and row.get("updated", True))
kept = [row["step"] for row in json.loads(work.call("ckpt", "ls", work.folder / "ruined", "--json"))]
if max(kept) > good:
    fail(f"the last update was in step {good}, but step {max(kept)} was committed")
if kept != [good - 1, good]:
    fail(f"steps {kept} are kept: the one before the last update, {good}, should be among them")
print(f"on {grid}: skipped from step {good + 1} on, kept {kept}")
