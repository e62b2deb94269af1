"""What the fault tests share: a tiny campaign with one growth on each axis, and ways to run and to compare it.

Every test is a program: it prints what it did and exits non-zero with a sentence when a promise is broken.
"""
import json
import os
import random
import re
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
    # What changes within a stage that grew must be where it was: rates, weight decay, masks, the norms' scales.
    "growth": {
        "grow: {M: 64}": "grow: {M: 64, init: random_matched, mask: 3 steps, norm_scale: 4 steps, old: {lr_mult: 0.5}, "
                         "new: {lr_mult: 1.3, warmup: 3 steps, warmup_from: 1, warmup_decay: false}}",
        "grow: {A: 96}": "grow: {A: 96, init: split_scaled_norm, lossless: false}",
    },
    # Widths that four tensor-parallel ranks divide.
    "four_heads": {"H: 2, M: 48": "H: 4, M: 48"},
    "f64": {"batch:": "precision: {compute: f64}\nbatch:"},
    # Two stages more of the same model: what does not grow moves between grids as well.
    "transformer": {
        "arch: nexusformer, D: 32, L: 2, H: 2, M: 48, A: 64, F: 64, V: 300, norm: l2":
            "arch: transformer, D: 32, L: 2, H: 2, F: 64, V: 300",
        "grow: {M: 64}, ": "",
        "grow: {A: 96}, ": "",
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


# How far the losses of one tiny campaign of 18 steps on two grids may be apart. They are about 5. Sums over other parts
# differ by rounding, and training enlarges that (120 steps of seed 7: 2e-3 in f32, 5e-12 in f64). The largest differences
# seen from one rank: 1.2e-6 in f32 (seeds 1, 2, 3, 7), 1.1e-14 in f64 (seeds 2, 7); the rest is for other processors.
ROUNDING = {"f32": 1e-5, "f64": 1e-13}


# Seconds without a sign of life after which something counts as hung. Nothing is judged by it: a busy host and a debug build
# may take their time.
PATIENCE = 600


def fail(text):
    print("FAILED: " + text)
    sys.exit(1)


def wait_until(condition, what, every=0.02):
    """Waits for a true answer of `condition` and returns it."""
    deadline = time.monotonic() + PATIENCE
    while not (answer := condition()):
        if time.monotonic() > deadline:
            fail(f"waited {PATIENCE} s without success: {what}")
        time.sleep(every)
    return answer


class Hold:
    """Keeps a run at an exact moment, however fast the host is: rank 0 waits before it opens a file whose path contains
    `part` once the run has made `steps` steps, until it is released, a rank catches a signal (hold.cpp), or another hold
    of the same run is made."""

    def __init__(self, run, part, steps, log=None):
        """`log` counts the steps: the run's own records unless told."""
        self.run, self.steps = run, steps
        self.rule, self.held = Path(f"{run}.hold"), Path(f"{run}.hold.held")
        self.held.unlink(missing_ok=True)
        draft = Path(f"{self.rule}.draft")
        draft.write_text(f"{part}\n{log or run / 'metrics.jsonl'}\n{steps}\n")
        draft.rename(self.rule)

    def wait(self, ended=lambda: False):
        """Until the run is held; False where `ended` came true instead."""
        wait_until(lambda: self.held.exists() or ended(), f"{self.run} to be held after step {self.steps}", every=0.005)
        return self.held.exists()

    def release(self):
        self.rule.unlink(missing_ok=True)
        self.held.unlink(missing_ok=True)


class Workspace:
    """A folder with token files, the program under test, and the grid that it runs on."""

    def __init__(self, nexus, folder, ranks=1, recipe="nexus"):
        self.nexus = nexus
        self.recipe = RECIPES[recipe]
        self.ranks = ranks
        self.settings = []  # key=value, over the campaign file
        self.variables = {}  # of every launch's environment
        # The same tests serve GPUs, where equal bits need the deterministic mode.
        self.device = os.environ.get("NEXUS_TEST_DEVICE", "cpu")
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

    def use_grid(self, grid, *settings):
        """`grid` is "DPxTP". The grid and further key=value settings hold for all runs from now on."""
        dp, tp = (int(ranks) for ranks in grid.split("x"))
        self.ranks = dp * tp
        self.settings = [f"parallel.dp={dp}", f"parallel.tp={tp}", *settings]

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
        settings = [*self.settings, *(["precision.deterministic=true"] if self.device == "cuda" else [])]
        words = [word for setting in settings for word in ("-s", setting)]
        return [*launch, self.nexus, "train", str(campaign), "--device", self.device, *words, *more]

    def environment(self):
        return {**os.environ, "OMP_NUM_THREADS": "1", "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
                "PMIX_MCA_psec": "^munge",  # a munged that was killed would cost 2 s a launch
                "HWLOC_COMPONENTS": "-gl,-opencl,-cuda,-nvml,-rsmi,-levelzero",  # of mpirun: no search for GPUs and X servers
                **self.variables}

    def train(self, campaign, *more):
        """Runs to the end, which may take its time as long as steps are made; returns (exit code, output)."""
        process = subprocess.Popen(self.command(campaign, *more), env=self.environment(), stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, start_new_session=True)
        records = Path(campaign).with_suffix("") / "metrics.jsonl"
        size = -1
        while True:
            try:
                output, _ = process.communicate(timeout=PATIENCE)
                return process.returncode, output
            except subprocess.TimeoutExpired:
                before, size = size, records.stat().st_size if records.exists() else 0
                if size == before or size == 0:
                    kill_session(process)
                    fail(f"{campaign} on {self.settings} made no step in {PATIENCE} s: {process.communicate()[0]}")

    def train_to_end(self, campaign, *more):
        """Runs to the end, which must be a good one; returns the output."""
        code, output = self.train(campaign, *more)
        if code != 0:
            fail(f"{campaign} on {self.settings} exited with {code}:\n{output}")
        return output

    def start(self, campaign, errors=subprocess.DEVNULL):
        return subprocess.Popen(self.command(campaign), env=self.environment(), stdout=subprocess.DEVNULL,
                                stderr=errors, start_new_session=True)

    def hold(self, name, steps, part="/metrics.jsonl"):
        """Later launches of the run `name` wait after so many steps: by default as they are about to record the next one."""
        run = self.folder / name
        self.variables = self.hold_variables(run)
        return Hold(run, part, steps)

    def hold_variables(self, run):
        """Of an environment in which this run can be held."""
        return {**self.preload("hold"), "NEXUS_TEST_HOLD": f"{run}.hold"}

    def preload(self, target):
        """Variables with which nexus loads a library of tests/support before all others."""
        library = Path(self.nexus).resolve().parent / "tests" / "support" / f"lib{target}.so"
        if not library.exists():
            fail(f"there is no {library}: build the target `{target}`")
        asan = os.environ.get("ASAN_OPTIONS", "allocator_may_return_null=1") + ":verify_asan_link_order=0"
        return {"LD_PRELOAD": str(library), "ASAN_OPTIONS": asan}

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
        """Loss of every committed step, keyed by (stage, step)."""
        return {key: row["loss"] for key, row in self.steps(name).items()}

    def counts(self, name):
        """What is a function of the step alone: learning rate, tokens and FLOPs so far."""
        return {key: (row["lr"], row["tokens"], row["flops"]) for key, row in self.steps(name).items()}

    def steps(self, name):
        """Record of every committed step, keyed by (stage, step); later rows replace those a crash threw away."""
        rows = {}
        for line in (self.folder / name / "metrics.jsonl").read_text().splitlines():
            row = json.loads(line)
            key = (row["stage_index"], row["step"])
            if row["kind"] == "resume":
                rows = {k: v for k, v in rows.items() if k <= key}
            elif row["kind"] == "step":
                if key in rows:
                    fail(f"{name} has two records of step {key}")
                rows[key] = row
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
        self.require_same((self.losses, self.counts, self.evaluations, self.accounts), name_a, name_b)

    def require_same(self, kinds, name_a, name_b):
        for what in kinds:
            a, b = what(name_a), what(name_b)
            if a != b:
                different = [key for key in sorted(set(a) | set(b), key=str) if a.get(key) != b.get(key)]
                fail(f"{what.__name__} of {name_b} differ from {name_a} at {different[:3]}")

    def require_close(self, name_a, name_b, bound):
        """Same steps, evaluations, rates, tokens and FLOPs; losses within `bound`. Returns their largest difference."""
        self.require_same((self.counts, self.accounts), name_a, name_b)
        events = lambda name: {key: event for key, (event, _) in self.evaluations(name).items()}
        if events(name_a) != events(name_b):
            fail(f"evaluations of {name_b} are at {events(name_b)}, those of {name_a} at {events(name_a)}")
        worst = (0.0, "nowhere")
        for what in (self.losses, lambda name: {key: loss for key, (_, loss) in self.evaluations(name).items()}):
            a, b = what(name_a), what(name_b)
            worst = max([worst, *((abs(a[key] - b[key]), str(key)) for key in a)])
        if not worst[0] <= bound:
            fail(f"the losses of {name_b} and {name_a} differ by {worst[0]:.2e} > {bound:.0e} at {worst[1]}")
        return worst[0]

    def unfinished_saves(self, name):
        """Folders of saves that are under way, or that a killed job left behind."""
        return {str(path) for path in (self.folder / name / "checkpoints").glob("*/*.tmp-*")}

    def newest_generation(self, name):
        return max((int(path.stem) for path in (self.folder / name / "lease").glob("[0-9]*.json")), default=0)


def foreign_lines(output):
    """Lines that are neither a log line nor an error of nexus: MPI's, libraries' or loose ones."""
    return [line for line in output.splitlines() if not re.match(r"\d\d:\d\d:\d\d \S|nexus: ", line)]


def session_of(process):
    """Process ids of everything that runs, stopped or not, in the session that `process` was started as."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[3]) == process.pid and fields[0] not in "ZX":
            found.append(int(entry.name))
    return found


def ranks_of(process):
    """Process ids of the nexus ranks below `process` (itself, if it is one), in order of rank."""
    ranks = {}
    for pid in session_of(process):
        try:
            if not Path(f"/proc/{pid}/comm").read_text().startswith("nexus"):
                continue
            variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        rank = next((int(v.split(b"=")[1]) for v in variables if v.startswith(b"OMPI_COMM_WORLD_RANK=")), 0)
        ranks[rank] = pid
    return [ranks[rank] for rank in sorted(ranks)]


def kill(process, pid):
    """kill -9 of a process of the job; False if the job has ended."""
    if process.poll() is not None:
        return False
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def kill_session(process):
    for pid in session_of(process):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def wait_for_end(process, after="one of its ranks was killed"):
    """Until the launcher has ended, and all that it had started."""
    try:
        process.wait(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        kill_session(process)
        fail(f"the job still ran {PATIENCE} s after {after}")
    # mpirun reaps its ranks before it leaves; what is left much later was forgotten.
    deadline = time.monotonic() + PATIENCE / 10
    while left := session_of(process):
        if time.monotonic() > deadline:
            kill_session(process)
            fail(f"the job left processes behind: {left}")
        time.sleep(0.02)
