"""Checkpoints move between CPU and GPU: a run that changes its device twice is the run on one device, up to rounding.

usage: test_devices.py NEXUS FOLDER
"""
import sys

from harness import ROUNDING, Workspace, fail

STEPS_PER_STAGE = 4


def train(work, campaign, device, *more):
    work.device = device
    return work.train(campaign, *more)


nexus, folder = sys.argv[1:]
work = Workspace(nexus, folder)
code, output = train(work, work.campaign("cpu", STEPS_PER_STAGE), "cpu")
if code != 0:
    fail(f"on the CPU: exit code {code}\n{output}")
campaign = work.campaign("moved", STEPS_PER_STAGE)
devices, launches = ["cpu", "cuda", "cuda"], 0
while True:
    code, output = train(work, campaign, devices[launches % len(devices)], "--stop-after", "0s")
    launches += 1
    if code == 0:
        break
    if code != 75 or launches > 40:
        fail(f"launch {launches} exited with {code}:\n{output}")
# The bound of runs that change their grid: both move sums to another order.
difference = work.require_close("cpu", "moved", ROUNDING["f32"])
print(f"{launches} launches, losses within {difference:.1e}")
