"""A workload that is not text goes through the whole machine: nexus, linked with the list of tests/support/point_sets_registry.cpp,
trains a model of point sets in stages that grow, on several grids, stopped, killed and continued, and says how good it is.

usage: test_point_sets.py NEXUS_WITH_POINT_SETS FOLDER
"""
import json
import random
import re
import struct
import subprocess
import sys
from array import array

from harness import ROUNDING, Workspace, fail, kill, ranks_of, wait_for_end

MOST_POINTS, FEATURES = 32, 3  # data.context of the harness' campaign, kFeatures of tests/support/point_sets.h
STEPS = 12  # of each of the three stages


def write_point_sets(path, sets, seed):
    """Sets of points within a box of their own, whose half width is the target."""
    source = random.Random(seed)
    with open(path, "wb") as file:
        file.write(b"point sets 1\n" + struct.pack("<Q", sets))
        for _ in range(sets):
            target = source.uniform(0, 2)
            points = [[source.uniform(-target, target) for _ in range(FEATURES)] for _ in range(source.randint(1, MOST_POINTS))]
            file.write(struct.pack("<Qf", len(points), target) + array("f", sum(points, [])).tobytes())


def expect(code, words, *arguments):
    """What nexus prints with this exit code; it holds all of the words."""
    done = subprocess.run([nexus, *map(str, arguments)], capture_output=True, text=True, env=work.environment())
    printed = done.stdout + done.stderr
    if done.returncode != code or [word for word in words if word not in printed]:
        fail(f"nexus {' '.join(map(str, arguments))} exited with {done.returncode}, expected {code} and {words}:\n{printed}")
    return done.stdout


def campaign(name):
    return work.campaign(name, STEPS, "3 steps")


def evaluations(name):
    lines = (work.folder / name / "eval.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if row["kind"] == "eval"]


def stop_and_kill(name):
    """Launches of a run that end before it does: stopped after some steps, and with a rank that is killed."""
    path = campaign(name)
    for rank in range(work.ranks):
        hold = work.hold(name, 10 + 13 * rank)  # before a growth, and after it
        process = work.start(path)
        if not hold.wait(lambda: process.poll() is not None):
            fail(f"{name} ended with {process.returncode} before it was held")
        killed = kill(process, ranks_of(process)[rank])
        hold.release()
        if not killed:
            fail(f"{name} was held, and has ended with {process.returncode}")
        wait_for_end(process)
        code, output = work.train(path, "--stop-after", "0s")
        if code != 75:
            fail(f"{name} was to stop after its next step, and exited with {code}:\n{output}")
    work.train_to_end(path)


nexus = sys.argv[1]
work = Workspace(nexus, sys.argv[2])
work.recipe = {"V: 300, norm: l2": "norm: l2, workload: point_sets"}
write_point_sets(work.folder / "data-train", 400, 1)
write_point_sets(work.folder / "data-valid", 40, 2)

# --- the same bits after stops and kills, and nearly the same on another grid
for grid in ("2x1", "1x2"):
    work.use_grid(grid)
    work.train_to_end(campaign(f"straight-{grid}"))
    stop_and_kill(f"stopped-{grid}")
    work.require_equal(f"straight-{grid}", f"stopped-{grid}")
    work.require_same_records(f"straight-{grid}", f"stopped-{grid}")
worst = work.require_close("straight-2x1", "straight-1x2", ROUNDING["f32"])
work.use_grid("1x1")
work.train_to_end(campaign("alone"))
worst = max(worst, work.require_close("alone", "straight-2x1", ROUNDING["f32"]))

# --- how good it is: squared error and R^2, before and after each growth
rows = evaluations("alone")
for row in rows:
    figures = {figure["name"]: figure["value"] for figure in row["figures"]}
    if not figures.get("r2", 2) <= 1 or row["bits_per_byte"] is not None:
        fail(f"an evaluation of point sets without R^2, or with bytes of text: {row}")
r2 = [next(figure["value"] for figure in row["figures"] if figure["name"] == "r2") for row in rows]
if not (r2[-1] > 0.5 > r2[0] and rows[-1]["loss"] < rows[0]["loss"] / 2):
    fail(f"nothing was learned: R^2 {r2}, losses {[row['loss'] for row in rows]}")

# --- a checkpoint says what it is of, and serves another run; growth is proved on point sets
newest = work.newest("alone")
state = json.loads(expect(0, [], "ckpt", "info", newest, "--json"))
model = state.get("model") or state["state"]["model"]
if model["workload"] != "point_sets" or "V" in model or "tie" in model:
    fail(f"the checkpoint is of {model}")
expect(2, ["the model is one of", "not of text"], "eval", newest, "--tasks", "piqa", "--data", work.folder)
expect(0, ["dead_new_params 0 of"], "grow", newest, work.folder / "grown", "-s", "model.M=80", "--check", work.folder / "data-valid",
       "--context", MOST_POINTS)

expect(2, ["no causal language model of workload point_sets"], "ckpt", "export", newest, "--out", work.folder / "exported")

# --- what is forecast, checked and reported, in points and squared errors
path = campaign("alone")
def speaks_of_text(what, text):
    if found := re.search(r"\b(tokens?|perplexit\w+|ppl)\b.*", text):
        fail(f"{what} speaks of text: {found[0]}")


for command in (["config", "check", path], ["plan", path], ["train", "--dry-run", path], ["slurm", "status", work.folder / "alone"],
                ["report", work.folder / "alone", "--no-pictures", "--out", work.folder / "report"]):
    speaks_of_text(command[0], expect(0, [], *command))
for file in (work.folder / "alone/STATUS", work.folder / "report/tables.md", work.folder / "report/tables.csv"):
    speaks_of_text(file, file.read_text())
expect(0, ["point_sets"], "config", "show", path)
expect(2, ["model.V belongs to workload text"], "config", "check", path, "-s", "model.V=300")
expect(2, ["did you mean point_sets?"], "config", "check", path, "-s", "model.workload=point_set")
# A run's model never becomes one of text.
expect(2, ["model.workload was point_sets, is absent"], "train", path, "-s", "model.workload=text")
expect(3, ["holds other points"], "train", path, "-s", f"data.train=[{{path: {work.folder}/data-valid}}]")
print(f"point sets: R^2 {r2[0]:.3f} to {r2[-1]:.3f}; same bits after stops and kills; grids differ by {worst:.1e}")
