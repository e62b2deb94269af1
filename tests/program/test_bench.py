"""`nexus bench step`: its figures agree with each other and with the plan, on one rank and on a grid; odd sizes are refused.

Speeds are not judged: the machine that runs this is shared.
"""
import json
import os
import subprocess
import sys
from pathlib import Path

from harness import PATIENCE, fail

nexus, folder = sys.argv[1], Path(sys.argv[2])
folder.mkdir(parents=True, exist_ok=True)
environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
campaign = folder / "bench.yaml"
campaign.write_text("""\
name: tiny-bench
model: {arch: nexusformer, D: 32, L: 2, H: 2, M: 48, A: 64, F: 64, V: 300, norm: l2}
data: {context: 32}
batch: {global_tokens: 256, micro: 4}
account: {peak_tflops: 2}
stages: [{name: bench, tokens: 256, lr: {peak: 1e-4, schedule: constant, warmup: 0}}]
""")


def bench(*more, ranks=1, code=0):
    launch = ["mpirun", "-n", str(ranks), "--oversubscribe", "-q", "--mca", "mpi_yield_when_idle", "1", "--bind-to", "none",
              "--mca", "btl_vader_single_copy_mechanism", "none"] if ranks > 1 else []
    command = [*launch, nexus, "bench", "step", str(campaign), "--steps", "3", "--warmup", "1", *more]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    if done.returncode != code:
        fail(f"{' '.join(command)} exited with {done.returncode}: {done.stderr}")
    return done.stdout if code == 0 else done.stderr


def near(a, b, what):
    if abs(a - b) > 1e-9 * max(abs(a), abs(b)):
        fail(f"{what}: {a} and {b}")


def check(report, ranks):
    seconds = report["median_step_seconds"]
    if len(report["step_seconds"]) != 3 or seconds != sorted(report["step_seconds"])[1]:
        fail(f"median {seconds} of {report['step_seconds']}")
    near(report["tokens_per_second"], report["tokens_per_step"] / seconds, "tokens per second")
    near(report["tokens_per_second_and_rank"] * ranks, report["tokens_per_second"], "of all ranks and of one")
    rate = report["flops_per_token"] * report["tokens_per_second"] / ranks
    near(report["mfu"], rate / 2e12, "MFU")
    near(report["of_gemm_peak"], rate / report["gemm_peak_flops"], "share of the product's rate")
    if report["buffer_bytes"] != report["planned_bytes"]:
        fail(f"{report['buffer_bytes']} bytes of buffers, planned {report['planned_bytes']}")
    if report["copy_bytes_per_second"] <= 0:
        fail("no copy bandwidth")


def check_families(report):
    families = report["profile"]["families"]
    products = sum(families[name]["flops_per_step"] for name in
                   ("matmul", "wgrad", "attention_forward", "attention_backward"))
    near(products, report["flops_per_step"], "FLOPs of the families and of the step by flops_def gemm_causal")
    near(families["wgrad"]["flops_per_step"] * 2, families["matmul"]["flops_per_step"], "weight gradients, other products")
    near(sum(family["share"] for family in families.values()), 1, "shares")
    if report["profile"]["family_seconds"] > report["profile"]["step_seconds"]:
        fail("the families take longer than the step that they are part of")


alone = json.loads(bench("--json"))
check(alone, 1)
check_families(alone)
if alone["shape"]["M"] != 48 or alone["shape"]["global_tokens"] != 256:
    fail(f"shape {alone['shape']}")

# A list of sizes: what does not fit is said, the rest is compared; the figures on top are the fastest one's.
sizes = folder / "sizes.json"
text = bench("--micro", "2,3,8", "--out", str(sizes))
report = json.loads(sizes.read_text())
runs = {run["micro"]: run for run in report["micro_batches"]}
if "does not fit: batch.global_tokens = 256 is no multiple" not in text or "refused" not in runs[3] or list(runs) != [2, 3, 8]:
    fail(f"three sizes gave {text}")
if [runs[2]["accumulation"], runs[8]["accumulation"]] != [4, 1]:
    fail(f"passes {runs[2]['accumulation']} and {runs[8]['accumulation']}")
near(report["tokens_per_second"], max(runs[2]["tokens_per_second"], runs[8]["tokens_per_second"]), "the fastest")
check(report, 1)
if "profile" in json.loads(bench("--json", "--no-families", "--micro", "2")):
    fail("families although they were not asked for")
for sizes in ("3", "3,5"):
    if "batch.global_tokens = 256 is no multiple" not in bench("--micro", sizes, code=2):
        fail(f"--micro {sizes} is refused without the reason")

# A grid: tokens of all ranks, FLOPs of one.
grid = json.loads(bench("--json", "-s", "parallel.tp=2", "--micro", "2", ranks=2))
check(grid, 2)
if (grid["dp"], grid["tp"], grid["accumulation"]) != (1, 2, 4):
    fail(f"dp {grid['dp']} tp {grid['tp']} passes {grid['accumulation']}")
data_parallel = json.loads(bench("--json", "--micro", "2,4", ranks=2))
check(data_parallel, 2)
if [run["accumulation"] for run in data_parallel["micro_batches"]] != [2, 1]:
    fail(f"{data_parallel['micro_batches']}")
print("figures agree")
