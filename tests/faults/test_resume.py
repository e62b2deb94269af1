"""k + k = 2k: a campaign stopped after every single step and continued ends with the bits of the undisturbed run."""
import sys

from harness import Workspace, fail

nexus, folder, ranks, recipe = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
work = Workspace(nexus, folder, ranks, recipe)
work.settings = ["eval.every=1 steps"]  # a launch that stops owes its evaluation, which the next one makes before any step

code, output = work.train(work.campaign("straight"))
if code != 0:
    fail(f"the undisturbed run exited with {code}:\n{output}")

campaign = work.campaign("stopped")
launches = 0
while True:
    code, output = work.train(campaign, "--stop-after", "0s")
    launches += 1
    if code == 0:
        break
    if code != 75 or launches > 40:
        fail(f"launch {launches} exited with {code}:\n{output}")
if launches < 15:
    fail(f"only {launches} launches: the run was not stopped between its steps")

work.require_equal("straight", "stopped")
work.require_same_records("straight", "stopped")
code, output = work.train(campaign)
if code != 0 or "done" not in output:
    fail(f"a finished campaign run again exited with {code}:\n{output}")
print(f"{launches} launches on {ranks} ranks, same bits")
