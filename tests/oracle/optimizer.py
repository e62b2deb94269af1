"""Learning-rate schedules, clipping and AdamW with generations, written from docs/numerics.md."""
import math

import numpy as np

from parameters import generation_of


def span(text, total_steps, step_tokens):
    """Steps of "10%", "3 steps", "1000 tokens" or "0"."""
    number, _, unit = text.replace("%", " %").partition(" ")
    steps = float(number) * {"": 1, "steps": 1, "tokens": 1 / step_tokens, "%": 0.01 * total_steps}[unit]
    return min(total_steps, math.ceil(steps - 1e-9 * max(1.0, steps)))


class Schedule:
    def __init__(self, lr, total, step_tokens):
        self.peak, self.kind, self.min, self.total = lr["peak"], lr["schedule"], lr.get("min", 0.0), total
        self.warmup = span(lr["warmup"], total, step_tokens)
        self.decay = min(span(lr.get("decay", "20%"), total, step_tokens), total - self.warmup)

    def at(self, step):
        if step <= self.warmup:
            return self.peak * step / self.warmup
        if self.kind == "cosine":
            share = (step - self.warmup) / (self.total - self.warmup)
            return self.min + (self.peak - self.min) * 0.5 * (1.0 + math.cos(math.pi * share))
        left = self.total - step
        if self.kind == "constant" or left >= self.decay:
            return self.peak
        return self.min + (self.peak - self.min) * left / self.decay


class AdamW:
    """Weights and moments of a model. A generation is what one growth added; it counts its own updates."""

    def __init__(self, tensors, weights, widths, settings):
        self.tensors, self.weights, self.settings = tensors, weights, settings
        self.moment1 = {name: np.zeros(value.shape) for name, value in weights.items()}
        self.moment2 = {name: np.zeros(value.shape) for name, value in weights.items()}
        self.generations = [{"widths": widths, "updates1": 0, "updates2": 0}]

    def step(self, gradients, rate, newest_rate, newest_decays=True):
        """One update; returns the gradient's norm before clipping."""
        s = self.settings
        norm = math.sqrt(sum(float((g * g).sum()) for g in gradients.values()))
        scale = min(1.0, s["clip"] / (norm + 1e-6)) if s["clip"] > 0 else 1.0
        for generation in self.generations:
            generation["updates1"] += 1
            generation["updates2"] += 1
        correct1, correct2 = ([1.0 / (1.0 - s[beta] ** g[key]) for g in self.generations]
                              for beta, key in (("beta1", "updates1"), ("beta2", "updates2")))
        rates = [rate] * len(self.generations)
        if len(rates) > 1:
            rates[-1] = newest_rate
        for name, tensor in self.tensors.items():
            born = generation_of(tensor, self.generations)
            lr, c1, c2 = (np.array(values)[born] for values in (rates, correct1, correct2))
            g = gradients[name] * scale
            m = self.moment1[name] = s["beta1"] * self.moment1[name] + (1.0 - s["beta1"]) * g
            v = self.moment2[name] = s["beta2"] * self.moment2[name] + (1.0 - s["beta2"]) * g * g
            decays = tensor.decays & (newest_decays | (born == 0) | (born < len(rates) - 1))
            keep = 1.0 - lr * np.where(decays, s["weight_decay"], 0.0)
            self.weights[name] = keep * self.weights[name] - lr * (c1 * m) / (np.sqrt(c2 * v) + s["eps"])
        return norm
