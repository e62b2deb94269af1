"""A stop in the last step of a stage puts its evaluation off: neither `slurm submit` nor `slurm status` takes it for done."""
import json
import subprocess
import sys

from harness import PATIENCE, Workspace, fail

nexus, folder = sys.argv[1], sys.argv[2]
work = Workspace(nexus, folder)
run = work.folder / "owed"

# One step a stage: a stop that is asked for before it comes in the last step.
campaign = work.campaign("owed", steps_per_stage=1)
campaign.write_text(campaign.read_text().replace("warmup: 2 steps", "warmup: 0").replace("decay: 50%", "decay: 1 steps"))


def slurm(*arguments):
    """Standard output. There need not be a Slurm: --dry-run does not ask it, and status says what it knows without."""
    done = subprocess.run([nexus, "slurm", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        fail(f"nexus slurm {arguments[0]} exited with {done.returncode}: {done.stderr}")
    return done.stdout


def expect(owed, state, jobs):
    """What is said of the first stage, and which jobs would be submitted."""
    stage = json.loads(slurm("status", run, "--json"))["stages"][0]
    if (stage["owes_evaluation"], stage["state"], stage["steps_committed"]) != (owed, state, 1):
        fail(f"expected {state}, {'with' if owed else 'without'} an evaluation owed: {stage}")
    if ("base owes the evaluation of step 1" in slurm("status", run)) != owed:
        fail(f"what people read does not say {'what' if owed else 'that nothing'} is owed:\n{slurm('status', run)}")
    commands = [line for line in slurm("submit", campaign, "--dry-run").splitlines() if line.startswith("sbatch ")]
    if [line.rsplit("/", 1)[-1] for line in commands] != [f"{job}.sbatch" for job in jobs]:
        fail(f"expected the jobs {jobs}: {commands}")


def evaluations():
    path = run / "eval.jsonl"
    return path.read_text().count('"kind":"eval"') if path.exists() else 0


hold = work.hold("owed", 0, "/eval.jsonl")
process = subprocess.Popen(work.command(campaign, "--until-stage", "base"), env=work.environment(), stderr=subprocess.DEVNULL)
if not hold.wait(lambda: process.poll() is not None):
    fail(f"the run ended with {process.returncode} before it had recorded an evaluation")
(run / "STOP").touch()
hold.release()
if process.wait(timeout=PATIENCE) != 75:
    fail(f"a stop in the last step ended in {process.returncode}")
expect(True, "stopped", ["base", "wide", "deep"])
before = evaluations()

code, output = work.train(campaign, "--until-stage", "base")
if code != 0 or evaluations() != before + 1:
    fail(f"the next start does not make up for it: {code}, {evaluations() - before} evaluations\n{output}")
expect(False, "done", ["wide", "deep"])
print("a stage that owes its last evaluation is submitted again, and done when that is made up for")
