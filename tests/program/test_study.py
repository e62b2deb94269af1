"""Studies: arms under the same seeds run from one file, are killed at any moment and end with the bits of an undisturbed study, go
on past a run that fails, and are reported in pairs.

usage: test_study.py NEXUS FOLDER
"""
import json
import os
import random
import signal
import subprocess
import sys
import time

from harness import PATIENCE, Workspace, fail, wait_until

BASE = """\
name: base
out: unused
model: {{arch: nexusformer, D: 32, L: 2, H: 2, M: 48, A: 64, F: 64, V: 300}}
data: {{train: [{{path: {data}-train}}], valid: {data}-valid, context: 32}}
batch: {{global_tokens: 256, micro: 2}}
stages: [{{name: s0, tokens: {tokens}, lr: {{peak: 3e-3, schedule: constant, warmup: 2 steps}}}}]
checkpoint: {{every: 5 steps, keep_last: 2}}
eval: {{every: 10 steps, max_tokens: 512}}
"""

STUDY = """\
study: policies
question: Which policy?
base: {base}
out: {out}
seeds: [1, 2, 3]
parents:
  trunk: {{}}
arms:
  zero_rows: {{from: trunk, set: {{stages: [{{name: wide, tokens: {tokens}, grow: {{M: 64}}, lr: {{peak: 3e-3, warmup: 0}}}}]}}}}
  random: {{from: trunk, set: {{stages: [{{name: wide, tokens: {tokens}, grow: {{M: 64, init: random, lossless: false}}, lr: {{peak: 3e-3, warmup: 0}}}}]}}}}
at_once: 2
"""


class Study:
    def __init__(self, work, name, text, steps=20):
        self.work, self.out = work, work.folder / name
        base = work.folder / "base.yaml"
        base.write_text(BASE.format(data=work.folder / "data", tokens=256 * steps))
        self.file = work.folder / f"{name}.yaml"
        self.file.write_text(text.format(base=base, out=self.out, tokens=256 * steps))

    def start(self, *more):
        return subprocess.Popen([self.work.nexus, "study", "run", self.file, *more], env=self.work.environment(),
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def run(self, *more):
        """(exit code, output)"""
        process = self.start(*more)
        output, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, output

    def run_to_end(self):
        code, output = self.run()
        if code != 0:
            fail(f"the study ended with {code}:\n{output}")
        return output

    def states(self):
        rows = json.loads(self.work.call("study", "status", self.file, "--json"))["runs"]
        return {(row["arm"], row["seed"]): row["state"] for row in rows}

    def steps_made(self):
        return sum(path.read_bytes().count(b'"kind":"step"') for path in self.out.glob("*/*/metrics.jsonl"))


def require_equal_studies(work, a, b):
    runs = [path for path in sorted(a.out.glob("*/seed-*")) if path.is_dir()]
    if len(runs) != 9:
        fail(f"{len(runs)} runs instead of nine")
    for path in runs:
        work.require_equal(path, b.out / path.relative_to(a.out))
        work.require_same_records(path, b.out / path.relative_to(a.out))


def kill_and_continue(work, undisturbed):
    """kill -9 of the study, and of runs, at random moments; then a stop by a signal and by a file."""
    study, rng = Study(work, "killed", STUDY), random.Random(5)
    kills = 0
    for _ in range(4):
        enough = study.steps_made() + rng.randrange(5, 25)
        process = study.start()
        wait_until(lambda: study.steps_made() >= enough or process.poll() is not None, f"step {enough} of all runs")
        time.sleep(rng.random() * 0.1)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        elif process.returncode != 0:
            fail(f"a study that goes on ended with {process.returncode}:\n{process.stdout.read()}")
        process.communicate()
    if kills == 0:
        fail("no study could be killed")
    process = study.start()
    enough = study.steps_made() + 5
    wait_until(lambda: study.steps_made() >= enough or process.poll() is not None, "more steps")
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=PATIENCE)
        if process.returncode not in (0, 75):
            fail(f"a stopped study ended with {process.returncode}:\n{output}")
        if process.returncode == 75 and "running" in study.states().values():
            fail(f"runs go on after the study has stopped: {study.states()}")
    study.run_to_end()
    require_equal_studies(work, undisturbed, study)
    if again := [line for line in study.run_to_end().splitlines() if "started" in line]:
        fail(f"a study that is done trains again: {again}")
    print(f"killed {kills} times and stopped: the same bits")


def check_report(work, study):
    text = work.call("study", "report", study.file)
    results = json.loads((study.out / "report" / "results.json").read_text())
    groups = {group["arm"]: group for group in results["groups"]}
    if set(groups) != {"zero_rows", "random"} or results["missing"]:
        fail(f"the report is about {list(groups)}, without {results['missing']}")
    losses = {arm: {seed: work.evaluations(study.out / arm / f"seed-{seed}") for seed in (1, 2, 3)} for arm in groups}
    last = {arm: [list(rows.values())[-1][1] for rows in of_seeds.values()] for arm, of_seeds in losses.items()}
    differences = [b - a for a, b in zip(last["zero_rows"], last["random"])]
    mean = sum(differences) / 3
    spread = (sum((d - mean) ** 2 for d in differences) / 2) ** 0.5
    found = groups["random"]["difference_at_end"]
    width = 4.302653 * spread / 3 ** 0.5  # t of 2 degrees of freedom at 97.5 %
    for what, value, wanted in (("mean", found["mean"], mean), ("low", found["low"], mean - width), ("high", found["high"], mean + width)):
        if abs(value - wanted) > 1e-6 * max(1e-3, abs(wanted)):
            fail(f"{what} of the paired difference is {value}, not {wanted}")
    check_noise(study, groups)
    if (study.out / "report" / "study.svg").exists() != ("study.svg" in (study.out / "report" / "tables.md").read_text()):
        fail("tables.md and the picture do not go together")
    first_cells = {line.split("|")[1].strip() for line in text.splitlines() if line.startswith("|")}
    if not {"zero_rows", "random"} <= first_cells:
        fail(f"the table lacks an arm:\n{text}")
    rows = (study.out / "report" / "runs.csv").read_text().splitlines()
    if len(rows) != 7:
        fail(f"runs.csv has {len(rows)} lines")


def check_noise(study, groups):
    """What evaluations account for, of a paired difference: from what neither seed nor window explains."""
    windows = []
    for seed in (1, 2, 3):
        ends = [[row for row in map(json.loads, (study.out / arm / f"seed-{seed}" / "eval.jsonl").read_text().splitlines())
                 if row["kind"] == "eval" and row["event"] == "end"][-1] for arm in ("random", "zero_rows")]
        if any(abs(sum(end["window_losses"]) / len(end["window_losses"]) - end["loss"]) > 1e-6 for end in ends):
            fail(f"the losses of the windows are not those of the evaluation: {ends}")
        windows.append([a - b for a, b in zip(*(end["window_losses"] for end in ends))])
    seeds, count = len(windows), len(windows[0])
    of_seeds = [sum(row) / count for row in windows]
    of_windows = [sum(column) / seeds for column in zip(*windows)]
    mean = sum(of_seeds) / seeds
    rest = sum((windows[s][w] - of_seeds[s] - of_windows[w] + mean) ** 2 for s in range(seeds) for w in range(count))
    wanted = (rest / (seeds - 1) / (count - 1) / count) ** 0.5
    found = groups["random"]["difference_at_end"]
    if found["evaluation_sd_is"] != "exact" or abs(found["evaluation_sd"] - wanted) > 1e-3 * wanted:
        fail(f"evaluations account for {found}, not {wanted}")


def go_on_past_failures(work):
    """An arm that explodes fails alone; what starts from it is not trained; the next run tries it again."""
    text = STUDY.replace("arms:\n", "arms:\n  bad: {{set: {{stages.0.lr.peak: 1000, optimizer.clip: 0}}}}\n"
                         "  after_bad: {{from: bad, set: {{stages: [{{name: s1, tokens: 512, lr: {{peak: 1e-3}}}}]}}}}\n")
    study = Study(work, "failing", text.replace("[1, 2, 3]", "[1]"))
    code, output = study.run()
    states = study.states()
    if code != 4 or states[("bad", 1)] != "failed" or states[("after_bad", 1)] != "waiting":
        fail(f"exit {code}, {states}:\n{output}")
    if states[("zero_rows", 1)] != "done" or states[("random", 1)] != "done":
        fail(f"an arm that failed stopped others: {states}")
    if "bad seed 1 | failed with 4" not in output or "nexus: error: " not in output or "after_bad seed 1 | not trained" not in output:
        fail(f"failures are not named:\n{output}")
    work.call("study", "report", study.file)
    if "bad seed 1; after_bad seed 1." not in work.call("study", "report", study.file):
        fail("what is printed does not say what is missing")
    if json.loads((study.out / "report" / "results.json").read_text())["missing"] != ["bad seed 1", "after_bad seed 1"]:
        fail("the report does not say what is missing")


def one_runner_at_a_time(work):
    study = Study(work, "twice", STUDY, steps=4000)
    first = study.start()
    wait_until(lambda: study.steps_made() >= 3 or first.poll() is not None, "the first runner's steps")
    code, output = study.run()
    if code != 2 or "another `nexus study run`, or a submission, works on this study" not in output:
        fail(f"a second runner ended with {code}: {output}")
    (study.out / "STOP").touch()
    first.communicate(timeout=PATIENCE)
    if first.returncode != 75 or (study.out / "STOP").exists():
        fail(f"STOP: exit {first.returncode}")
    if {state for (arm, _), state in study.states().items() if arm == "trunk"} - {"stopped", "waiting"}:
        fail(f"after STOP: {study.states()}")


def check_plan(work, study):
    plan = work.call("study", "plan", study.file)
    rows = {line.split()[0]: line.split() for line in plan.splitlines()}
    if rows["all"][1:3] != ["9", "4.608e+04"] or "for hours, give --mfu" not in plan:  # nine runs of 20 steps of 256 tokens
        fail(f"the plan does not count nine runs:\n{plan}")
    base = work.folder / "base.yaml"
    base.write_text(text := base.read_text() + "account: {peak_tflops: 1e-6}\n")
    rows = {line.split()[0]: line.split() for line in work.call("study", "plan", study.file, "--mfu", "0.5").splitlines()}
    base.write_text(text.replace("account: {peak_tflops: 1e-6}\n", ""))
    for arm in ("trunk", "zero_rows"):
        wanted = float(rows[arm][3]) / (0.5 * 1e6) / 3600
        if abs(float(rows[arm][4]) - wanted) > 0.01 * wanted:
            fail(f"{arm} takes {rows[arm][4]} hours, not {wanted}")
    chains = float(rows["trunk"][4]) + max(float(rows[arm][4]) for arm in ("zero_rows", "random"))
    total = sum(float(rows[arm][4]) for arm in ("trunk", "zero_rows", "random"))
    if abs(float(rows["at"][2]) - max(total / 2, chains / 3)) > 0.01 * total:
        fail(f"all takes {rows['at']}")


def jobs_of_what_is_left(work, done):
    """What `slurm submit` would do, for which nobody asks Slurm. tests/slurm submits."""
    if "nothing to submit" not in work.call("slurm", "submit", done.file):
        fail("runs that are done would be submitted")
    study = Study(work, "jobs", STUDY)
    text = work.call("slurm", "submit", study.file, "--dry-run", "--throttle", "3")
    for part in (" --array=0-2%3\n", " --array=0-5%3\n", "'--dependency=afterany:<id of slurm/array.sbatch>'"):
        if part not in text:
            fail(f"the dry run lacks {part}:\n{text}")
    if study.out.exists():
        fail("a dry run has made folders")
    refused = subprocess.run([work.nexus, "slurm", "submit", study.file, "--dry-run", "--seeds", "1,2"], capture_output=True, text=True)
    if refused.returncode != 2 or "write it into the study" not in refused.stderr:
        fail(f"--seeds of a study: {refused}")


def check_equal_seconds(work, study):
    """The same runs as of GPUs: seconds of steps, the parents' with them; unknown without the parents, and the rest is as it was."""
    on_gpus = work.folder / "on-gpus.yaml"
    on_gpus.write_text(study.file.read_text() + "device: cuda\n")
    report = work.folder / "on-gpus"

    def results():
        work.call("study", "report", on_gpus, "--out", report)
        return {group["arm"]: group for group in json.loads((report / "results.json").read_text())["groups"]}

    def steps(arm, seed):
        rows = map(json.loads, (study.out / arm / f"seed-{seed}" / "metrics.jsonl").read_text().splitlines())
        return sum(row["step_ms"] for row in rows if row["kind"] == "step") / 1e3

    found = results()["random"]
    if found["difference_at_equal_seconds"]["mean"] is None:
        fail(f"no difference at equal seconds: {found}")
    rows = [row.split(",") for row in (report / "runs.csv").read_text().splitlines()]
    for row in rows[1:]:
        arm, seed, seconds = row[0], row[2], float(row[rows[0].index("seconds")])
        wanted = steps("trunk", seed) + steps(arm, seed)
        if abs(seconds - wanted) > 1e-3 * wanted:
            fail(f"{arm} seed {seed} took {seconds} s, not {wanted}")
    (study.out / "trunk").rename(study.out / "gone")
    without = results()["random"]
    (study.out / "gone").rename(study.out / "trunk")
    if without["difference_at_equal_seconds"]["mean"] is not None or without["difference_at_end"] != found["difference_at_end"]:
        fail(f"without the parents: {without}")


def keep_to_the_parents_checkpoint(work):
    """A run that has begun does not go on from another checkpoint of its parent; without the parent's folder it goes on."""
    study = Study(work, "extended", STUDY.replace("[1, 2, 3]", "[1]"))
    child = study.out / "random" / "seed-1"
    study.run_to_end()
    undisturbed = (child / "config.resolved.yaml").read_text()
    if f"init_from: {study.out}/trunk/seed-1/checkpoints/" not in undisturbed.replace("'", "").replace('"', ""):
        fail(f"the run does not keep the checkpoint that it began with:\n{undisturbed}")
    (study.out / "trunk" / "seed-1").rename(study.out / "moved")
    work.call("train", f"{child}.yaml")  # it is done, and says so
    (study.out / "moved").rename(study.out / "trunk" / "seed-1")
    if (child / "config.resolved.yaml").read_text() != undisturbed:
        fail("a launch without the parent's folder changed the configuration")
    parent = study.out / "trunk" / "seed-1.yaml"
    stages = "stages: [{name: s0, tokens: 5120, lr: {peak: 3e-3, schedule: constant, warmup: 2 steps}}, {name: s1, tokens: 2560, lr: {peak: 1e-3}}]"
    more = work.folder / "more-stages.yaml"
    more.write_text(stages + "\n")
    work.call("train", parent, "-c", more)
    done = subprocess.run([work.nexus, "train", f"{child}.yaml"], env=work.environment(), capture_output=True, text=True)
    if done.returncode != 2 or "init_from was" not in done.stderr:
        fail(f"a run goes on though its parent has another end: {done}")


def choose_of_a_sweep(work):
    text = STUDY.split("parents:")[0] + ("arms:\n  plain: {{}}\n  rates: {{sweep: {{stages.0.lr.peak: [1e-5, 3e-3, 1e-4]}}}}\n"
                                         "pick: lowest_mean_loss\nat_once: 2\n")
    study = Study(work, "sweep", text.replace("[1, 2, 3]", "[1]"))
    study.run_to_end()
    text = work.call("study", "report", study.file)
    results = json.loads((study.out / "report" / "results.json").read_text())
    losses = {row["value"]: row["loss"]["mean"] for row in results["swept"]}
    chosen = {group["arm"]: group for group in results["groups"]}["rates"]
    if list(losses) != ["1e-5", "3e-3", "1e-4"] or chosen["value"] != min(losses, key=losses.get) or "3e-3" != chosen["value"]:
        fail(f"of {losses} {chosen['value']} is chosen")
    if "| 3e-3 | 1 | " not in text or "yes, at the edge" not in text:
        fail(f"that the chosen rate is the greatest is not told:\n{text}")
    found = chosen["difference_at_end"]  # the same rate as the plain arm: the same run
    if found["mean"] != 0 or found["window_se"] != 0 or found["low"] is not None:
        fail(f"two runs of one campaign differ: {found}")


def main():
    work = Workspace(*sys.argv[1:])
    study = Study(work, "undisturbed", STUDY)  # 180 steps in all
    check_plan(work, study)
    output = study.run_to_end()
    if set(study.states().values()) != {"done"}:
        fail(f"{study.states()}\n{output}")
    check_report(work, study)
    check_equal_seconds(work, study)
    if "as the study's runs so far" not in (plan := work.call("study", "plan", study.file)):
        fail(f"the plan does not go by the runs that are done:\n{plan}")
    jobs_of_what_is_left(work, study)
    kill_and_continue(work, study)
    go_on_past_failures(work)
    keep_to_the_parents_checkpoint(work)
    choose_of_a_sweep(work)
    one_runner_at_a_time(work)


main()
