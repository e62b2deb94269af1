"""train.py NEXUS FOLDER CAMPAIGN: trains a tiny campaign in f64 with nexus and again with the oracle, from the seed on.

The oracle knows the token files and the campaign's settings, nothing else: initial values, the order of the samples, losses,
gradients, clipping, AdamW, schedules, growth and evaluations are its own, written from docs/numerics.md. What nexus records of
every step and evaluation, and every weight and moment of its last checkpoint, must be what the oracle finds.
"""
import json
import math
import sys
from pathlib import Path

from packages import require_packages

# Relative differences. Both sides compute in f64 (unit 1.1e-16) and add in another order, and up to 18 updates enlarge that, in a
# Nexusformer the most. In brackets the largest seen; other processors add in yet another order. A float among nexus's constants
# shows as 2e-10 to 2e-8 in the losses, 5e-8 to 9e-7 in the norm and 2e-9 to 1e-5 in the state.
LOSS = 2e-14   # of the mean loss of a step or an evaluation (8e-16)
NORM = 1e-12   # of the gradient's norm (5e-14)
STATE = 1e-11  # of the length of a tensor's weights or moments (5e-13)
RATE = 1e-15   # of the learning rate: a few operations (2e-16)
# Of the standard error of an evaluation (3e-11): nexus takes the variance of the window means as a difference of squares, which
# are 1e5 times as large here.
ERROR = 1e-9

COMMON = {
    "seed": 7, "context": 30, "step_tokens": 240, "max_tokens": 600,  # 1 / 240 is no float, and neither are sqrt(32) and sqrt(40)
    "optimizer": {"beta1": 0.9, "beta2": 0.95, "eps": 1e-8, "weight_decay": 0.1, "clip": 1.0},
}
NEXUS = {"arch": "nexusformer", "variant": "full", "D": 32, "L": 2, "H": 2, "V": 300, "M": 48, "A": 64, "F": 72}
CAMPAIGNS = {
    # Both axes grow; the second growth has a rate of its own; a mixture in which the smaller set is read more than once.
    "nexusformer": {
        "model": NEXUS, "ranks": 1, "weights": [1.0, 4.0],
        "stages": [
            {"name": "base", "steps": 6, "lr": {"peak": 3e-3, "schedule": "cosine", "warmup": "2 steps", "min": 1e-3}},
            {"name": "wide", "steps": 6, "lr": {"peak": 2e-3, "schedule": "wsd", "warmup": "10%", "min": 1e-4, "decay": "50%"},
             "grow": {"M": 64, "optimizer": "keep_v", "norm_scale": "4 steps"}},
            {"name": "deep", "steps": 6, "lr": {"peak": 2e-3, "schedule": "constant", "warmup": "512 tokens"},
             "grow": {"A": 80, "column_std": 0.05, "new": {"lr_mult": 2.0, "warmup": "3 steps"}}}],
    },
    # What the old matrix says: deviations, copies, parts. Some channels are there three times.
    "growth": {
        "model": NEXUS, "ranks": 2, "settings": ["parallel.tp=2"], "weights": [1.0],
        "stages": [
            {"name": "base", "steps": 4, "lr": {"peak": 3e-3, "schedule": "constant", "warmup": "2 steps"}},
            {"name": "matched", "steps": 4, "lr": {"peak": 2e-3, "schedule": "constant", "warmup": "0"},
             "grow": {"M": 56, "A": 72, "init": "zero_rows_matched"}},
            {"name": "copied", "steps": 4, "lr": {"peak": 2e-3, "schedule": "constant", "warmup": "0"},
             "grow": {"M": 64, "A": 80, "init": "zero_copy"}},
            {"name": "split", "steps": 4, "lr": {"peak": 2e-3, "schedule": "constant", "warmup": "0"},
             "grow": {"M": 144, "A": 112, "init": "split", "lossless": False}},
            {"name": "scaled", "steps": 4, "lr": {"peak": 2e-3, "schedule": "constant", "warmup": "0"},
             "grow": {"M": 160, "A": 224, "init": "split_scaled_norm", "lossless": False}}],
    },
    # Random channels behind a mask, while the norms' scale follows the widths.
    "growth_mask": {
        "model": NEXUS, "ranks": 2, "settings": ["parallel.tp=2"], "weights": [1.0],
        "stages": [
            {"name": "base", "steps": 4, "lr": {"peak": 3e-3, "schedule": "constant", "warmup": "2 steps"}},
            {"name": "masked", "steps": 6, "lr": {"peak": 2e-3, "schedule": "constant", "warmup": "0"},
             "grow": {"M": 56, "A": 80, "init": "random_matched", "mask": "4 steps", "norm_scale": "2 steps"}}],
    },
    "tokenformer": {
        "model": {"arch": "tokenformer", "D": 32, "L": 2, "H": 2, "V": 300, "n_qkv": 40, "n_proj": 40, "n_ffn": 56},
        "ranks": 2, "settings": ["parallel.tp=2"], "weights": [1.0],
        "stages": [
            {"name": "base", "steps": 6, "lr": {"peak": 3e-3, "schedule": "wsd", "warmup": "2 steps", "min": 0, "decay": "2 steps"}},
            {"name": "wide", "steps": 6, "lr": {"peak": 2e-3, "schedule": "cosine", "warmup": "0", "min": 0},
             "grow": {"n_qkv": 48, "n_ffn": 64, "init": "zero_key_fixed_scale", "optimizer": "reset", "old": {"lr_mult": 0.4},
                      "new": {"lr_mult": 1.3, "warmup": "3 steps", "warmup_from": 1, "warmup_decay": False}}},
            {"name": "masked", "steps": 4, "lr": {"peak": 2e-3, "schedule": "constant", "warmup": "0"},
             "grow": {"n_qkv": 56, "n_proj": 48, "init": "random_key_matched", "mask": "3 steps"}}],
    },
    "transformer": {
        "model": {"arch": "transformer", "D": 32, "L": 2, "H": 4, "kv_heads": 2, "V": 300, "F": 48, "rope_theta": 20000.3},
        "ranks": 2, "settings": ["parallel.dp=2"], "weights": [1.0], "optimizer": {"clip": 0.3},
        "stages": [{"name": "base", "steps": 12, "lr": {"peak": 3e-3, "schedule": "cosine", "warmup": "25%", "min": 1e-4}}],
    },
    # Deviations at birth by fan-in, heads of q and k normalised: through a growth, on two ranks each.
    "nexusformer_fan_in": {
        "model": NEXUS | {"kv_heads": 2, "H": 4, "init": "fan_in", "qk_norm": "rms"}, "ranks": 2, "settings": ["parallel.tp=2"],
        "weights": [1.0],
        "stages": [
            {"name": "base", "steps": 6, "lr": {"peak": 3e-3, "schedule": "cosine", "warmup": "2 steps", "min": 1e-3}},
            {"name": "wide", "steps": 6, "lr": {"peak": 2e-3, "schedule": "constant", "warmup": "2 steps"}, "grow": {"M": 64}}],
    },
    "tokenformer_fan_in": {
        "model": {"arch": "tokenformer", "D": 32, "L": 2, "H": 2, "V": 300, "n_qkv": 40, "n_proj": 40, "n_ffn": 56,
                  "init": "fan_in", "qk_norm": "rms"},
        "ranks": 2, "settings": ["parallel.dp=2"], "weights": [1.0],
        "stages": [
            {"name": "base", "steps": 6, "lr": {"peak": 3e-3, "schedule": "constant", "warmup": "2 steps"}},
            {"name": "wide", "steps": 6, "lr": {"peak": 2e-3, "schedule": "constant", "warmup": "0"},
             "grow": {"n_qkv": 48, "n_ffn": 64, "init": "zero_key_fixed_scale"}}],
    },
}


def settings_of(name):
    campaign = COMMON | CAMPAIGNS[name]
    campaign["optimizer"] = COMMON["optimizer"] | campaign.get("optimizer", {})
    return campaign


def write_campaign(c, work, datasets):
    stages = [{"name": s["name"], "tokens": s["steps"] * c["step_tokens"], "lr": s["lr"],
               **({"grow": s["grow"]} if "grow" in s else {})} for s in c["stages"]]
    o = c["optimizer"]
    document = {
        "name": "oracle", "out": str(work.folder / "run"), "seed": c["seed"], "model": c["model"],
        "data": {"train": [{"path": path, "weight": weight} for path, weight in datasets],
                 "valid": f"{work.folder}/data-valid", "context": c["context"]},
        "batch": {"global_tokens": c["step_tokens"], "micro": 2}, "precision": {"compute": "f64"},
        "optimizer": {"betas": [o["beta1"], o["beta2"]], "eps": o["eps"], "weight_decay": o["weight_decay"], "clip": o["clip"]},
        "stages": stages, "eval": {"every": "4 steps", "max_tokens": c["max_tokens"]}}
    path = work.folder / "oracle.yaml"
    path.write_text(json.dumps(document, indent=1))  # JSON is YAML
    return path


def complete(model):
    """The keys that a campaign may leave out."""
    tokenformer = model["arch"] == "tokenformer"
    own = {"nexusformer": {"variant": "full", "norm": "l2"}, "transformer": {"mlp": "swiglu"},
           "tokenformer": {f"scale_{kind}": model.get(f"n_{kind}") for kind in ("qkv", "proj", "ffn")}}[model["arch"]]
    return {"kv_heads": model["H"], "gelu": "erf", "tie": tokenformer, "rope_theta": 10000.0,
            "rotary_share": 0.25 if tokenformer else 1.0, "init": "published", "qk_norm": "none", **own, **model}


class Oracle:
    """The same campaign, step by step."""

    def __init__(self, c, datasets, valid):
        from optimizer import AdamW
        from parameters import initial, table
        from samples import Sampler, Windows
        self.c, self.model = c, complete(c["model"])
        self.sampler = Sampler(datasets, c["context"], c["seed"])
        self.valid = Windows(valid, c["context"])
        self.samples = 0
        self.norm_gains, self.norm_growth = {}, {}  # c^2 / O before a growth, and what it multiplies it by in the end
        tensors = table(self.model)
        self.adamw = AdamW(tensors, {name: initial(t, c["seed"]) for name, t in tensors.items()}, self.widths(), c["optimizer"])
        self.steps, self.evaluations, self.now_gains = [], [], {}
        self.opening = 1.0  # m of the mask on new channels

    def widths(self):
        return {key: self.model[key] for key in ("M", "A", "n_qkv", "n_proj", "n_ffn") if key in self.model}

    def losses(self, tokens, targets):
        import models
        from tape import Var
        weights = {name: Var(value) for name, value in self.adamw.weights.items()}
        logits = models.Model(self.model, weights, self.now_gains, self.masks()).logits(tokens).reshape(targets.size, -1)
        return models.losses(logits, targets.reshape(-1)), weights

    def masks(self):
        """1 for old channels, m for those of the last growth."""
        import numpy as np
        old = self.adamw.generations[-2]["widths"] if self.opening < 1.0 else {}
        return {width: np.where(np.arange(self.model[width]) < extent, 1.0, self.opening) for width, extent in old.items()}

    def raise_norm_scales(self, share):
        self.now_gains = {width: gain * (1 + (self.norm_growth.get(width, 1.0) - 1) * share) for width, gain in self.norm_gains.items()}

    def grow(self, options):
        from parameters import SPLITS, grown, split_factors, table
        import numpy as np
        self.norm_gains, self.norm_growth = dict(self.now_gains), {}
        for width in self.widths().keys() & options.keys():
            growth = options[width] / self.model[width]
            if options.get("init") == "split_scaled_norm":
                self.norm_gains[width] = self.norm_gains.get(width, 1.0) * growth
            elif "norm_scale" in options:
                self.norm_growth[width] = growth
                self.norm_gains.setdefault(width, 1.0)
        self.raise_norm_scales(0.0)
        self.opening = 0.0 if "mask" in options else 1.0
        self.model.update({key: value for key, value in options.items() if key in self.widths()})
        adamw, moments = self.adamw, options.get("optimizer", "keep")
        adamw.tensors = table(self.model)
        for name, tensor in adamw.tensors.items():
            std = tensor.std if self.model["arch"] == "tokenformer" else options.get("column_std", 0.02)
            init, old_part = options.get("init"), tuple(slice(0, extent) for extent in adamw.weights[name].shape)
            shape = adamw.weights[name].shape
            gradient = split_factors(tensor, shape, init, of_gradient=True)[old_part] if init in SPLITS else 1.0
            adamw.weights[name] = grown(tensor, adamw.weights[name], self.c["seed"], len(adamw.generations), std, init)
            for held, kept, factor in ((adamw.moment1, moments == "keep", gradient), (adamw.moment2, moments != "reset", gradient**2)):
                larger = np.zeros(tensor.shape)
                if kept:
                    larger[old_part] = held[name] * factor
                held[name] = larger
        for generation in adamw.generations:
            generation["updates1"] *= moments == "keep"
            generation["updates2"] *= moments != "reset"
        adamw.generations.append({"widths": self.widths(), "updates1": 0, "updates2": 0})

    def evaluate(self, stage, step, event):
        import numpy as np
        from samples import evaluation_windows
        windows = evaluation_windows(self.valid.count, self.c["context"], self.c["max_tokens"])
        rows = [self.valid.fetch(window) for window in windows]
        losses, _ = self.losses(np.stack([row[0] for row in rows]), np.stack([row[1] for row in rows]))
        means = losses.data.reshape(len(rows), -1).mean(axis=1)
        self.evaluations.append({"stage_index": stage, "step": step, "event": event, "loss": means.mean(), "windows": len(rows),
                                 "loss_se": means.std(ddof=1) / math.sqrt(len(rows))})

    def step(self, stage, step, rate, options, warmup, norm_steps, mask_steps):
        from tape import gradients
        tokens = self.c["step_tokens"]
        if norm_steps:
            self.raise_norm_scales(min(1.0, step / norm_steps))
        if mask_steps:
            self.opening = min(1.0, step / mask_steps)
        losses, weights = self.losses(*self.sampler.batch(self.samples, tokens // self.c["context"]))
        self.samples += tokens // self.c["context"]
        mean = losses.sum() * (1.0 / tokens)
        new, ramp = options.get("new", {}), min(1.0, step / warmup) if warmup else 1.0
        own = new.get("lr_mult", 1.0) * ramp + new.get("warmup_from", 0.0) * (1.0 - ramp)
        norm = self.adamw.step(dict(zip(weights, gradients(mean, list(weights.values())))),
                               rate * options.get("old", {}).get("lr_mult", 1.0), rate * own,
                               new.get("warmup_decay", True) or step > warmup)
        self.steps.append({"stage_index": stage, "step": step, "loss": float(mean.data), "grad_norm": norm, "lr": rate})

    def train(self):
        from optimizer import Schedule, span
        for index, stage in enumerate(self.c["stages"]):
            options = stage.get("grow", {})
            if options:
                self.grow(options)
            warmup = span(options.get("new", {}).get("warmup", "0"), stage["steps"], self.c["step_tokens"])
            norm_steps, mask_steps = (span(options.get(key, "0"), stage["steps"], self.c["step_tokens"]) for key in ("norm_scale", "mask"))
            schedule = Schedule(stage["lr"], stage["steps"], self.c["step_tokens"])
            self.evaluate(index, 0, "after_growth" if options else "start")
            for step in range(1, stage["steps"] + 1):
                self.step(index, step, schedule.at(step), options, warmup, norm_steps, mask_steps)
                if step == stage["steps"]:
                    self.evaluate(index, step, "end")
                elif step % 4 == 0:
                    self.evaluate(index, step, "periodic")


def read_lines(path, kind):
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [row for row in rows if row["kind"] == kind]


class Comparison:
    def __init__(self):
        self.wrong, self.worst = [], {}

    def numbers(self, what, where, ours, theirs, bound):
        difference = abs(ours - theirs) / abs(theirs) if theirs else abs(ours)
        self.judge(what, where, difference, bound)

    def judge(self, what, where, difference, bound):
        self.worst[what] = max(self.worst.get(what, 0.0), difference)
        if not difference <= bound:  # also true for NaN
            self.wrong.append(f"{what} {where}: relative difference {difference:.3g}, tolerance {bound:g}")

    def equal(self, what, ours, theirs):
        if ours != theirs:
            self.wrong.append(f"{what}: {ours} of nexus, {theirs} of the oracle")


def compare_records(run, oracle, found):
    for rows, expected, figures in (
            (read_lines(run / "metrics.jsonl", "step"), oracle.steps, {"loss": LOSS, "grad_norm": NORM, "lr": RATE}),
            (read_lines(run / "eval.jsonl", "eval"), oracle.evaluations, {"loss": LOSS, "loss_se": ERROR})):
        found.equal("records", len(rows), len(expected))
        for row, want in zip(rows, expected):
            where = f"of stage {want['stage_index']} step {want['step']}"
            for key in want:
                if key in figures:
                    found.numbers(key, where, row[key], want[key], figures[key])
                else:
                    found.equal(f"{key} {where}", row[key], want[key])


def compare_checkpoint(path, oracle, found):
    import numpy as np
    from checkpoint import read_checkpoint
    state, tensors = read_checkpoint(Path(path))
    adamw = oracle.adamw
    expected = {f"{part}/{name}": value for part, values in
                (("master", adamw.weights), ("moment1", adamw.moment1), ("moment2", adamw.moment2)) for name, value in values.items()}
    found.equal("tensors", sorted(tensors), sorted(expected))
    for name in sorted(set(tensors) & set(expected)):
        want = expected[name]
        found.judge(name.split("/")[0], name, float(np.linalg.norm(tensors[name] - want) / max(np.linalg.norm(want), 1e-300)), STATE)
    found.equal("samples", state["samples"], oracle.samples)
    found.equal("seed", state["seed"], oracle.c["seed"])
    used = [{**g, "widths": {key: g["widths"][key] for key in oracle.widths()}} for g in state["generations"]]
    found.equal("generations", used, adamw.generations)
    told = oracle.model.items() - {("init", "published"), ("qk_norm", "none")}  # these go without saying
    found.equal("model", state["model"], dict(told))


def main(nexus, folder, name):
    if (skipped := require_packages()) is not None:
        return skipped
    from harness import Workspace
    c = settings_of(name)
    work = Workspace(nexus, folder, ranks=c["ranks"])
    work.settings = c.get("settings", [])
    prefixes = [f"{work.folder}/data-train", f"{work.folder}/data-valid"]
    datasets = list(zip(prefixes, c["weights"]))
    work.train_to_end(write_campaign(c, work, datasets))
    oracle = Oracle(c, datasets, prefixes[1])
    oracle.train()
    found = Comparison()
    compare_records(work.folder / "run", oracle, found)
    compare_checkpoint(work.newest("run"), oracle, found)
    print("\n".join(found.wrong) or f"{name}: all figures agree")
    print("largest relative differences: " + ", ".join(f"{what} {value:.1e}" for what, value in found.worst.items()))
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
