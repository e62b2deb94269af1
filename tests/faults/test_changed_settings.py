"""A setting that changes in a begun run is carried out to the end of its stage, or refused; nothing is taken and ignored.

usage: test_changed_settings.py NEXUS FOLDER
"""
import json
import math
import shutil
import sys

from harness import Workspace, fail

STEP_TOKENS, STEPS, DONE = 256, 10, 4  # a stage, and where the run was stopped
PEAK, LOW, WARMUP = 3e-3, 1e-3, 2      # of the harness's first stage
ALLOW = "--allow-schedule-change"


def cosine(step, steps, peak=PEAK, low=LOW):
    if step <= WARMUP:
        return peak * step / WARMUP
    return low + (peak - low) * 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / (steps - WARMUP)))


class Trials:
    """Copies of one stopped run, each continued in its own way."""

    def __init__(self, work):
        self.work, self.count = work, 0
        self.campaign = work.campaign("stopped", steps_per_stage=STEPS)
        for _ in range(DONE):
            code, output = work.train(self.campaign, "--stop-after", "0s")
            if code != 75:
                fail(f"a launch that was to stop after a step exited with {code}:\n{output}")
        self.copy("stopped", "ended")
        self.launch("ended", 0, "--until-stage", "base")

    def copy(self, source, name):
        shutil.rmtree(self.work.folder / name, ignore_errors=True)
        shutil.copytree(self.work.folder / source, self.work.folder / name)

    def launch(self, name, expected, *more):
        code, output = self.work.train(self.campaign, "--out", self.work.folder / name, *more)
        if code != expected:
            fail(f"{name} with {more} exited with {code} instead of {expected}:\n{output}")
        return output

    def refused(self, setting, words, source="stopped", allow=(), name="refused"):
        """With permission and without: one line, and the run as it was."""
        key = setting.split("=")[0]
        for flags in ([], [ALLOW, key]):
            self.copy(source, name)
            before = self.work.newest(name), (self.work.folder / name / "config.resolved.yaml").read_text()
            output = self.launch(name, 2, "-s", setting, *flags, *allow)
            if words not in output or key not in output:
                fail(f"{setting} with {flags}: {words!r} is not in the refusal:\n{output}")
            if before != (self.work.newest(name), (self.work.folder / name / "config.resolved.yaml").read_text()):
                fail(f"{setting} was refused, but the run folder has changed")
        self.count += 1

    def carried_out(self, name, *settings, source="stopped", until="base"):
        """Refused without permission; with it the stage runs to its end. Returns the base stage's steps by number."""
        changes = [word for setting in settings for word in ("-s", setting)]
        flags = [word for setting in settings for word in (ALLOW, setting.split("=")[0])]
        self.copy(source, name)
        output = self.launch(name, 2, *changes)
        if "change it on purpose with " + " ".join(flags) not in output:
            fail(f"the refusal of {settings} does not name the options:\n{output}")
        self.launch(name, 0, *changes, *flags, "--until-stage", until)
        self.require_recorded(name, settings)
        self.count += 1
        return {step: row for (stage, step), row in self.work.steps(name).items() if stage == 0}

    def require_recorded(self, name, settings):
        rows = [json.loads(line) for line in (self.work.folder / name / "ledger.jsonl").read_text().splitlines()]
        recorded = {row["key"] for row in rows if row["kind"] == "change"}
        if recorded != {setting.split("=")[0] for setting in settings}:
            fail(f"{settings} were changed, the ledger says {recorded}")

    def require_length(self, name, rows, steps):
        """Ends at its own tokens, by the account as well, with the rate of every step that of the new length."""
        tokens, flops = self.work.accounts(name)["base"]
        straight = self.work.accounts("straight")["base"]
        if max(rows) != steps or rows[steps]["tokens"] != steps * STEP_TOKENS or tokens != steps * STEP_TOKENS:
            fail(f"{name} ends at step {max(rows)} with {tokens} tokens, not at step {steps}")
        if abs(flops / tokens - straight[1] / straight[0]) > 1e-9 * flops / tokens:
            fail(f"{name} counts {flops} FLOPs for {tokens} tokens")
        for step, row in rows.items():
            if step > DONE and abs(row["lr"] - cosine(step, steps)) > 1e-15:
                fail(f"{name}: step {step} has rate {row['lr']}, not {cosine(step, steps)}")


def try_fixed_keys(trials):
    for setting in ("model.rope_theta=1000000", "model.norm=none", "model.D=48", "model.tie=true", "seed=8",
                    "batch.global_tokens=512", "batch.global_tokens=128", "data.context=16", "stages.0.name=other",
                    "data.train.0.weight=2", "account.flops_def=6n", "init_from=elsewhere"):
        trials.refused(setting, "no option can change")
    trials.refused("precision.compute=f64", "of another type")
    trials.refused("stages.0.lr.warmup=3 steps", "is over at step 4")
    trials.refused(f"stages.0.tokens={DONE * STEP_TOKENS}", f"{DONE * STEP_TOKENS} tokens of it are trained")
    for key, words in (("optimizer.clib", "did you mean optimizer.clip"), ("batch.micro", "class placement"),
                       ("model.M", "class fixed"), ("name", "class cosmetic"), ("stages.3.tokens", "no key of this")):
        if words not in trials.launch("stopped", 2, ALLOW, key):
            fail(f"{ALLOW} {key}: {words!r} is not in the refusal")


def try_schedule_keys(trials):
    work = trials.work
    for name, steps in (("longer", 16), ("shorter", 7)):
        trials.require_length(name, trials.carried_out(name, f"stages.0.tokens={steps * STEP_TOKENS}"), steps)
    # Stopped after every step: the same bits, and the permission is asked for once.
    trials.copy("stopped", "stepwise")
    longer = ["-s", f"stages.0.tokens={16 * STEP_TOKENS}", "--stop-after", "0s", "--until-stage", "base"]
    trials.launch("stepwise", 75, *longer, ALLOW, "stages.0.tokens")
    for _ in range(16 - DONE - 2):
        trials.launch("stepwise", 75, *longer)
    trials.launch("stepwise", 0, *longer[:2], "--until-stage", "base")
    work.require_equal("longer", "stepwise")
    work.require_same_records("longer", "stepwise")
    # Longer, and after two steps as it was: rates come back to the old ones.
    trials.copy("stopped", "back")
    for _ in range(2):
        trials.launch("back", 75, *longer, ALLOW, "stages.0.tokens")
    trials.launch("back", 0, ALLOW, "stages.0.tokens", "--until-stage", "base")
    rows = {step: row["lr"] for (_, step), row in work.steps("back").items()}
    expected = {step: cosine(step, 16 if DONE < step <= DONE + 2 else STEPS) for step in range(1, STEPS + 1)}
    if rows.keys() != expected.keys() or any(abs(rows[step] - expected[step]) > 1e-15 for step in rows):
        fail(f"changed there and back the rates are {rows}")

    rows = trials.carried_out("peak", "stages.0.lr.peak=2e-3")
    if any(abs(row["lr"] - cosine(step, STEPS, peak=2e-3)) > 1e-15 for step, row in rows.items() if step > DONE):
        fail("the new peak does not hold to the end of the stage")
    straight = {step: row["loss"] for (stage, step), row in work.steps("straight").items() if stage == 0}
    for setting in ("optimizer.clip=0.01", "optimizer.weight_decay=9", "optimizer.eps=1e-2", "optimizer.betas=[0.1, 0.2]",
                    "precision.compute=bf16"):
        losses = {step: row["loss"] for step, row in trials.carried_out("numerics", setting).items()}
        if losses.keys() != straight.keys() or losses[STEPS] == straight[STEPS]:
            fail(f"{setting} did not change the last step's loss")


def try_other_keys(trials):
    """What needs no permission leaves no trace in the weights."""
    for setting in ("checkpoint.every=3 steps", "checkpoint.async=false", "eval.every=2 steps", "parallel.zero=0",
                    "precision.recompute=activations", "safety.replica_check=1", "name=other", "account.peak_tflops=1",
                    "account.watts_per_gpu=700", "slurm.nodes=2"):
        trials.copy("stopped", "free")
        trials.launch("free", 0, "-s", setting)
        trials.work.require_equal("straight", "free")
        trials.count += 1


def try_between_stages(trials):
    trials.refused("stages.0.lr.peak=1e-3", "stage base is finished", source="ended")
    trials.refused("batch.global_tokens=512", "no option can change", source="ended")
    # On into the next stage, with the finished one's record as it was.
    trials.carried_out("next", "optimizer.clip=0.01", source="ended", until="wide")
    state = json.loads(trials.work.call("ckpt", "info", trials.work.newest("next"), "--json"))["state"]
    clips = [stage["optimizer.clip"] for stage in state["stage_numerics"]]
    if [float(clip) for clip in clips] != [1, 0.01]:
        fail(f"the stages were trained with clip 1 and 0.01, the checkpoint says {clips}")
    if state["flops_def"] != "gemm_causal":
        fail(f"the checkpoint says flops_def {state['flops_def']}")
    trials.launch("next", 0, "-s", "optimizer.clip=0.01", "--until-stage", "wide")
    rows = trials.carried_out("reopened", f"stages.0.tokens={16 * STEP_TOKENS}", source="ended")
    if max(rows) != 16 or abs(rows[11]["lr"] - cosine(11, 16)) > 1e-15:
        fail(f"a stage that was made longer after its end stops at step {max(rows)}")
    trials.refused("optimizer.clip=0.01", "no step is left", source="straight")
    # A run whose FLOPs would be added to those of another definition.
    heir = ["-s", f"init_from={trials.work.newest('ended')}", "-s", "account.flops_def=6n"]
    if "set account.flops_def to gemm_causal" not in trials.launch("heir", 2, *heir):
        fail("init_from of a run with another flops_def does not say what to set")


def main():
    nexus, folder = sys.argv[1:]
    trials = Trials(Workspace(nexus, folder))
    trials.copy("stopped", "straight")
    trials.launch("straight", 0)
    try_fixed_keys(trials)
    try_schedule_keys(trials)
    try_other_keys(trials)
    try_between_stages(trials)
    print(f"{trials.count} changes of a begun run: carried out, refused or without effect, as their classes say")


main()
