"""`nexus plan --cluster`: what it prints for cluster files of this repository. Every figure is computed again here, from what
stands in the campaign, in the cluster file and on the command line, or from other figures that are printed."""
import json
import math
import random
import re
import subprocess
import sys
from pathlib import Path

from harness import fail

nexus, folder, clusters = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])

D, L, F, V = 768, 12, 2048, 32000
WIDTHS = [(1024, 1152), (1408, 2048)]  # M and A of the two stages
STEPS, STEP_TOKENS = [40000, 12000], 8 << 20
CAMPAIGN = f"""\
name: ladder
out: {folder}/run
model: {{arch: nexusformer, D: {D}, L: {L}, H: 12, M: {WIDTHS[0][0]}, A: {WIDTHS[0][1]}, F: {F}, V: {V}}}
data: {{context: 2048}}
batch: {{global_tokens: {STEP_TOKENS}, micro: 4}}
stages:
  - {{name: small, tokens: {STEPS[0] * STEP_TOKENS}, lr: {{peak: 1e-3, schedule: constant, warmup: 0}}}}
  - {{name: large, tokens: {STEPS[1] * STEP_TOKENS}, grow: {{M: {WIDTHS[1][0]}, A: {WIDTHS[1][1]}}},
     lr: {{peak: 1e-3, schedule: constant, warmup: 0}}}}
checkpoint: {{every: 30min}}
slurm: {{nodes: 64}}
"""
# JSON has all digits of an f64: 1e-9 leaves room for the order of operations only.
EXACT = 1e-9


def expect(what, printed, meant, relative=EXACT):
    if printed is None or not math.isclose(printed, meant, rel_tol=relative):
        fail(f"{what} is {printed}, not {meant}")


def expect_equal(what, printed, meant):
    if printed != meant:
        fail(f"{what} is {printed!r}, not {meant!r}")


def plan(cluster, *more):
    """What it prints, and its warnings."""
    command = [nexus, "plan", folder / "ladder.yaml", "--cluster", clusters / cluster, *more]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode != 0:
        fail(f"{command} exited with {done.returncode}: {done.stderr}")
    return done.stdout, done.stderr


def seconds_of(text):
    """Of "0.25 s", "0:07:02" or "4d 02:58:08"."""
    if text.endswith(" s"):
        return float(text[:-2])
    days, clock = text.split("d ") if "d " in text else ("0", text)
    hours, minutes, seconds = (int(part) for part in clock.split(":"))
    return ((int(days) * 24 + hours) * 60 + minutes) * 60 + seconds


def checkpoint_bytes(m, a):
    """Weights and two moments in f32: per layer q, k, v, o of D M + M A + A D, the MLP of D M + M F + F D, two norms; a last
    norm, embedding and head."""
    layer = 4 * (D * m + m * a + a * D) + D * m + m * F + F * D + 2 * D
    return 3 * 4 * (L * layer + D + 2 * V * D)


def simulated_goodput(mtbf, interval, stop, write, restart, cycles=200_000):
    """The model that goodput.h states in words, played: of the time from one failure to the next, what was committed."""
    source = random.Random(7)
    lived = committed = 0.0
    for _ in range(cycles):
        life = source.expovariate(1 / mtbf)
        lived += life
        training = life - restart - interval - write
        if training >= 0:
            committed += interval * (1 + training // max(interval + stop, write))
    return committed / lived


folder.mkdir(parents=True, exist_ok=True)
(folder / "ladder.yaml").write_text(CAMPAIGN)

# A cluster whose rates of failure, restart time and storage are known: node_mtbf 6334h, restart 10min, 2 GB/s.
RATES, STOP, RESTART = [8e6, 5e6], 0.25, 600
known = ("llama3-rates.yaml", "--tok-per-s", "8M,5M", "--save-stop", f"{STOP}s")
document = json.loads(plan(*known, "--json")[0])["cluster"]
mtbf = 6334 * 3600 / 64
for key, meant in {"nodes": 64, "ranks": 512, "ranks_per_node": 8, "jobs": 2, "limit_seconds": None, "warnings": []}.items():
    expect_equal(key, document[key], meant)
expect("job_mtbf_seconds", document["job_mtbf_seconds"], mtbf)
expect_equal("what is missing", [line.split(":")[0] for line in document["missing"]], ["energy", "money"])
expect_equal("the stages", [stage["name"] for stage in document["stages"]], ["small", "large"])
for stage, widths, steps, rate in zip(document["stages"], WIDTHS, STEPS, RATES):
    write = checkpoint_bytes(*widths) / 2e9
    hours = steps * STEP_TOKENS / rate / 3600
    expect_equal("checkpoint_bytes", stage["checkpoint_bytes"], checkpoint_bytes(*widths))
    expect("write_seconds", stage["write_seconds"], write)
    expect("stop_seconds", stage["stop_seconds"], STOP)
    expect("training_hours", stage["training_hours"], hours)
    expect("Young's interval", stage["young"]["seconds"], math.sqrt(2 * STOP * mtbf))
    ratio = STOP / (2 * mtbf)
    expect("Daly's interval", stage["daly"]["seconds"],
           math.sqrt(2 * STOP * mtbf) * (1 + math.sqrt(ratio) / 3 + ratio / 9) - STOP)
    # Daly's leaves out terms of higher order in stop / mtbf, which is 7e-7.
    expect("the best interval", stage["best"]["seconds"], stage["daly"]["seconds"], 1e-6)
    expect("checkpoint_every", stage["checkpoint_every"]["seconds"], 1800)
    for choice in ("checkpoint_every", "best"):
        played = simulated_goodput(mtbf, stage[choice]["seconds"], STOP, write, RESTART)
        # The loss of a cycle, about 1500 s, varies by 520 s (where in an interval a failure strikes): the mean of 200000 by
        # 1.2 s, which is 3.3e-6 of a cycle; six times that.
        if abs(stage[choice]["goodput"] - played) > 2e-5:
            fail(f"goodput at {choice} is {stage[choice]['goodput']}, in a simulation {played}")
    wall = hours / stage["checkpoint_every"]["goodput"]
    for key, meant in {"wall_hours": wall, "failures": wall * 3600 / mtbf, "gpu_hours": 512 * wall, "node_hours": 64 * wall,
                       "starts": 1}.items():
        expect(key, stage[key], meant)
    expect_equal("kwh and money", (stage["kwh"], stage["money"]), (None, None))
for key in ("training_hours", "wall_hours", "failures", "gpu_hours", "node_hours"):
    expect(f"all {key}", document["all"][key], sum(stage[key] for stage in document["stages"]))

# What people read, at an interval that is far from the best one: printed figures agree with each other.
text, warnings = plan(*known, "-s", "checkpoint.every=4h")
head = re.search(r"^cluster llama3-rates \| nodes 64 of 8 ranks \| jobs 2 \| time limit - \| mean time between failures of the "
                 r"job (.*)$", text, re.MULTILINE)
tables = {name: [re.split(r" {2,}", line) for line in re.findall(rf"^{name} .*$", text, re.MULTILINE)[-2:]]
          for name in ("small", "large")}
if not head:
    fail(f"no line of the cluster:\n{text}")
for name, (cost, saves) in tables.items():
    printed_mtbf, stop, young = seconds_of(head[1]), seconds_of(saves[3]), seconds_of(saves[10])
    if abs(young - math.sqrt(2 * stop * printed_mtbf)) > 1:  # printed in whole seconds
        fail(f"Young's interval of {name} is printed as {saves[10]}; stop {saves[3]}, mean time {head[1]}")
    expect_equal("every", saves[4], "4:00:00")
    # Four digits of hours, wall hours and goodput each.
    expect(f"hours over wall of {name}", float(cost[2]) / float(cost[3]), float(saves[5].rstrip("%")) / 100, 2e-3)
    best = seconds_of(saves[6])
    if f"warning: stage {name}: saves every 4:00:00" not in warnings or f"set checkpoint.every to {best}s" not in warnings:
        fail(f"no warning of saves every 4 hours where {best} s are best:\n{warnings}")

# A cluster of which no such thing is known, with a time limit of 12 hours and no GPUs: no figure is invented.
text = plan("cpu-mpirun.yaml", "-s", "slurm.nodes=2", "--tok-per-s", "2M")[0]
if "cluster cpu-mpirun | nodes 2 of 4 ranks | jobs 2 | time limit 12:00:00 | mean time between failures of the job -\n" \
        not in text:
    fail(f"no line of the cluster:\n{text}")
planned = json.loads(plan("cpu-mpirun.yaml", "-s", "slurm.nodes=2", "-s", "slurm.chain=campaign", "--tok-per-s", "2M",
                          "--json")[0])
expect_equal("device", planned["device"], "cpu")
document = planned["cluster"]
expect_equal("jobs of a chain of one", document["jobs"], 1)
expect_equal("limit_seconds", document["limit_seconds"], 12 * 3600)
expect_equal("how many things are missing", len(document["missing"]), 5)
for stage, steps in zip(document["stages"], STEPS):
    hours = steps * STEP_TOKENS / 2e6 / 3600
    expect("gpu_hours of training alone", stage["gpu_hours"], 8 * hours)
    # 46.6 and 14.0 hours: saves and margins of seconds do not bring them over a multiple of 12.
    expect_equal("starts", stage["starts"], math.ceil(hours / 12))
    unknown = [key for key, value in stage.items() if value is None]
    expect_equal("what is not known", sorted(unknown),
                 ["best", "daly", "failures", "kwh", "money", "stop_seconds", "wall_hours", "write_seconds", "young"])
    expect_equal("checkpoint_every", stage["checkpoint_every"], {"seconds": 1800.0, "goodput": None})
print("plans on clusters: hours, saves, failures and costs are what follows from rates, cluster and campaign")
