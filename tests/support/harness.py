"""What the fault tests share: a tiny campaign with one growth on each axis, and ways to run and to compare it.

Every test is a program: it prints what it did and exits non-zero with a sentence when a promise is broken.
"""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

# Each recipe replaces lines of the campaign: other architectures, types and policies resume as exactly.
RECIPES = {
    "nexus": {},
    "tokenformer": {
        "arch: nexusformer, D: 32, L: 2, H: 2, M: 48, A: 64, F: 64, V: 300, norm: l2":
            "arch: tokenformer, D: 32, L: 2, H: 2, n_qkv: 40, n_proj: 40, n_ffn: 56, V: 300",
        "grow: {M: 64}": "grow: {n_qkv: 48, init: zero_key_fixed_scale, optimizer: keep_v}",
        "grow: {A: 96}": "grow: {n_ffn: 80, init: zero_key_fixed_scale, new: {lr_mult: 2.0, warmup: 3 steps}}",
    },
    "bf16": {"batch:": "precision: {compute: bf16}\nbatch:", "grow: {M: 64}": "grow: {M: 64, optimizer: reset}"},
}

CAMPAIGN = """\
name: tiny
out: {out}
seed: 7
model: {{arch: nexusformer, D: 32, L: 2, H: 2, M: 48, A: 64, F: 64, V: 300, norm: l2}}
data: {{train: [{{path: {data}-train}}], valid: {data}-valid, context: 32}}
batch: {{global_tokens: 256, micro: 2}}
stages:
  - {{name: base, tokens: {stage_tokens}, lr: {{peak: 3e-3, schedule: cosine, warmup: 2 steps, min: 1e-3}}}}
  - {{name: wide, tokens: {stage_tokens}, grow: {{M: 64}}, lr: {{peak: 2e-3, schedule: wsd, warmup: 2 steps, min: 0, decay: 50%}}}}
  - {{name: deep, tokens: {stage_tokens}, grow: {{A: 96}}, lr: {{peak: 2e-3, schedule: cosine, warmup: 2 steps, min: 0}}}}
checkpoint: {{every: {every}, keep_last: 3}}
eval: {{max_tokens: 512}}
"""


def fail(text):
    print("FAILED: " + text)
    sys.exit(1)


class Workspace:
    """A folder with token files, and the program under test."""

    def __init__(self, nexus, folder, ranks=1, recipe="nexus"):
        self.nexus = nexus
        self.recipe = RECIPES[recipe]
        self.ranks = ranks
        self.folder = Path(folder)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        words = "the model grows along two inner axes and keeps what it has learned so far".split()
        source = random.Random(1)
        lines = (" ".join(source.choice(words) for _ in range(12)) for _ in range(1500))
        text = self.folder / "text.txt"
        text.write_text("\n".join(lines) + "\n")
        self.call("data", "build", text, "--documents", "file", "--vocab", "300", "--valid-share", "0.1", "--out",
                  self.folder / "data")

    def call(self, *arguments):
        done = subprocess.run([self.nexus, *map(str, arguments)], capture_output=True, text=True)
        if done.returncode != 0:
            fail(f"nexus {' '.join(map(str, arguments))} exited with {done.returncode}: {done.stderr}")
        return done.stdout

    def campaign(self, name, steps_per_stage=6, every="2 steps"):
        path = self.folder / f"{name}.yaml"
        text = CAMPAIGN.format(out=self.folder / name, data=self.folder / "data", stage_tokens=256 * steps_per_stage,
                               every=every)
        for old, new in self.recipe.items():
            if old not in text:
                fail(f"the recipe's line {old!r} is not in the campaign")
            text = text.replace(old, new)
        path.write_text(text)
        return path

    def command(self, campaign, *more):
        launch = []
        if self.ranks > 1:
            launch = ["mpirun", "-n", str(self.ranks), "--oversubscribe", "-q", "--mca", "mpi_yield_when_idle", "1",
                      "--bind-to", "none", "--mca", "btl_vader_single_copy_mechanism", "none"]
        return [*launch, self.nexus, "train", str(campaign), *more]

    def environment(self):
        return {**os.environ, "OMP_NUM_THREADS": "1", "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}

    def train(self, campaign, *more):
        """Runs to the end; returns (exit code, output)."""
        done = subprocess.run(self.command(campaign, *more), env=self.environment(), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=300)
        return done.returncode, done.stdout

    def start(self, campaign):
        return subprocess.Popen(self.command(campaign), env=self.environment(), stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL, start_new_session=True)

    def newest(self, name):
        rows = json.loads(self.call("ckpt", "ls", self.folder / name, "--json"))
        if not rows:
            fail(f"{name} has no checkpoint")
        return rows[-1]["path"]

    def require_equal(self, name_a, name_b):
        """The final weights and moments of two runs are the same bits."""
        report = json.loads(self.call("ckpt", "diff", self.newest(name_a), self.newest(name_b), "--json"))
        if report["differing"]:
            fail(f"{report['differing']} tensors of {name_b} differ from {name_a}, first {report['tensors'][0]}")
        if report["compared"] == 0:
            fail("the comparison saw no tensors")

    def losses(self, name):
        """Loss of every committed step, keyed by (stage, step); later rows replace those a crash threw away."""
        rows = {}
        for line in (self.folder / name / "metrics.jsonl").read_text().splitlines():
            row = json.loads(line)
            key = (row["stage_index"], row["step"])
            if row["kind"] == "resume":
                rows = {k: v for k, v in rows.items() if k <= key}
            elif row["kind"] == "step":
                if key in rows:
                    fail(f"{name} has two records of step {key}")
                rows[key] = row["loss"]
        return rows

    def evaluations(self, name):
        """(stage, step, event, loss) of every evaluation of the committed lineage."""
        rows = {}
        for line in (self.folder / name / "eval.jsonl").read_text().splitlines():
            row = json.loads(line)
            key = (row["stage_index"], row["step"])
            if row["kind"] == "resume":
                rows = {k: v for k, v in rows.items() if k <= key}
            else:
                if key in rows:
                    fail(f"{name} has two evaluations at {key}")
                rows[key] = (row["event"], row["loss"])
        return rows

    def accounts(self, name):
        """(tokens, FLOPs) of every stage by the ledger's last commit of it."""
        rows = [json.loads(line) for line in (self.folder / name / "ledger.jsonl").read_text().splitlines()]
        return {row["stage"]: (row["stage_tokens"], row["stage_flops"]) for row in rows if row["kind"] == "commit"}

    def require_same_records(self, name_a, name_b):
        for what in (self.losses, self.evaluations, self.accounts):
            a, b = what(name_a), what(name_b)
            if a != b:
                different = [key for key in sorted(set(a) | set(b), key=str) if a.get(key) != b.get(key)]
                fail(f"{what.__name__} of {name_b} differ from {name_a} at {different[:3]}")


def ranks_of(process):
    """Process ids of the nexus ranks below `process` (itself, if it is one)."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            name = (entry / "comm").read_text().strip()
        except OSError:
            continue
        if name == "nexus" and int(fields[3]) == os.getsid(process.pid):
            found.append(int(entry.name))
    return found


def kill_one_rank(process, source):
    """kill -9 of one random rank; False if none was left."""
    try:
        victims = ranks_of(process)
    except ProcessLookupError:
        victims = []
    if not victims or process.poll() is not None:
        return False
    try:
        os.kill(source.choice(victims), signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def wait_for_end(process, seconds=60):
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        fail(f"the job still ran {seconds} s after one of its ranks was killed")
    time.sleep(0.05)
