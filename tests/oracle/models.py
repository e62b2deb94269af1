"""The three architectures on the tape, written from their equations (arXiv 2604.19147, arXiv 2410.23168).

`weights` maps the names of the parameter table to Vars; rows are [batch, context, width].
"""
import math

import numpy as np

from tape import concat, erf, exp, log, power, tanh


def gelu(x, kind):
    if kind == "erf":
        return x * 0.5 * (erf(x * math.sqrt(0.5)) + 1.0)
    return x * 0.5 * (tanh((x + x * x * x * 0.044715) * math.sqrt(2.0 / math.pi)) + 1.0)


def silu(x):
    return x / (exp(x * -1.0) + 1.0)


def l2(h, scale, eps):
    return h / (power((h * h).sum(-1), 0.5) + eps) * scale


def rms_norm(x, weight):
    return x * power((x * x).mean(-1) + 1e-6, -0.5) * weight


def layer_norm(x, weight=None):
    centred = x - x.mean(-1)
    normed = centred * power((centred * centred).mean(-1) + 1e-5, -0.5)
    return normed if weight is None else normed * weight


class Model:
    def __init__(self, config, weights, norm_gains={}, masks={}):
        """norm_gains: c^2 / O of norm l2 for the widths that have another than 1; masks: a factor for each channel of a width."""
        self.c, self.w, self.norm_gains, self.masks = config, weights, norm_gains, masks
        self.head_dim = config["D"] // config["H"]

    # --- projections
    def nexus_rank(self, x, name):
        w_m, w_a, w_d = (self.w[f"{name}.{part}"] for part in ("w_m", "w_a", "w_d"))
        widths = {"w_m": "M", "w_a": None if ".mlp" in name else "A"}  # F, the outer width of the MLP, never grows
        for part, matrix in (("w_m", w_m), ("w_a", w_a)):
            h = x @ matrix.T * self.masks.get(widths[part], 1.0)
            square = w_d.shape[0] * self.norm_gains.get(widths[part], 1.0)
            n = l2(h, math.sqrt(square), 1e-5) if self.c["norm"] == "l2" else h
            x = gelu(n, self.c["gelu"])
        return x @ w_d.T

    def pattention(self, x, name, kind):
        s = x @ self.w[f"{name}.key"].T * self.masks.get(f"n_{kind}", 1.0)
        return gelu(l2(s, math.sqrt(self.c[f"scale_{kind}"]), 0.0), self.c["gelu"]) @ self.w[f"{name}.value"]

    def linear(self, x, name):
        return x @ self.w[f"{name}.weight"].T

    def qkv(self, x, name):
        if self.c["arch"] == "nexusformer":
            return self.nexus_rank(x, name)
        if self.c["arch"] == "tokenformer":
            return self.pattention(x, name, "qkv")
        return self.linear(x, name)

    def out(self, x, name):
        if self.c["arch"] == "tokenformer":
            return self.pattention(x, name, "proj")
        if self.c["arch"] == "nexusformer" and self.c["variant"] == "full":
            return self.nexus_rank(x, name)
        return self.linear(x, name)

    def mlp(self, x, name):
        if self.c["arch"] == "tokenformer":
            return self.pattention(x, name, "ffn")
        if self.c["arch"] == "nexusformer" and self.c["variant"] == "full":
            return self.nexus_rank(x, name)
        up = x @ self.w[f"{name}.w_up"].T
        if self.c["mlp"] == "swiglu":
            return (silu(x @ self.w[f"{name}.w_gate"].T) * up) @ self.w[f"{name}.w_down"].T
        return gelu(up, self.c["gelu"]) @ self.w[f"{name}.w_down"].T

    # --- attention
    def heads(self, x, count):
        """[B, T, count * head_dim] as [B, count, T, head_dim]."""
        batch, context, _ = x.shape
        return x.reshape(batch, context, count, self.head_dim).transpose(0, 2, 1, 3)

    def head_norm(self, x, name):
        """RMS norm of every head of [B, count, T, head_dim], with weights of its own."""
        if self.c["qk_norm"] == "none":
            return x
        return rms_norm(x, self.w[f"{name}_norm.weight"].reshape(x.shape[1], 1, self.head_dim))

    def rotate(self, x):
        rotary = int(self.head_dim * self.c["rotary_share"])
        half = rotary // 2
        frequency = self.c["rope_theta"] ** (-np.arange(half) * 2.0 / rotary)
        angle = np.arange(x.shape[2])[:, None] * frequency[None, :]
        first, second, rest = x[..., :half], x[..., half:rotary], x[..., rotary:]
        return concat([first * np.cos(angle) - second * np.sin(angle),
                       second * np.cos(angle) + first * np.sin(angle), rest], axis=-1)

    def attention(self, x, name):
        batch, context, _ = x.shape
        count, kv = self.c["H"], self.c["kv_heads"]
        q = self.rotate(self.head_norm(self.heads(self.qkv(x, f"{name}.q"), count), f"{name}.q"))
        k = self.rotate(self.head_norm(self.heads(self.qkv(x, f"{name}.k"), kv), f"{name}.k"))
        v = self.heads(self.qkv(x, f"{name}.v"), kv)
        group = np.arange(count) // (count // kv)  # the kv head of each head
        scores = q @ k[:, group].transpose(0, 1, 3, 2) * (1.0 / math.sqrt(self.head_dim))
        future = np.triu(np.full((context, context), -np.inf), 1)
        raised = exp(scores + future - np.max(scores.data + future, axis=-1, keepdims=True))
        mixed = (raised / raised.sum(-1)) @ v[:, group]
        return self.out(mixed.transpose(0, 2, 1, 3).reshape(batch, context, -1), f"{name}.o")

    # --- whole model
    def norm(self, x, name):
        if self.c["arch"] != "tokenformer":
            return rms_norm(x, self.w[f"{name}.weight"])
        return layer_norm(x, self.w[f"{name}.weight"] if name == "norm" else None)

    def logits(self, tokens):
        x = self.w["embed.weight"][tokens]
        for i in range(self.c["L"]):
            layer = f"layers.{i}"
            x = x + self.attention(self.norm(x, f"{layer}.attn_norm"), f"{layer}.attn")
            x = x + self.mlp(self.norm(x, f"{layer}.mlp_norm"), f"{layer}.mlp")
        head = self.w["embed.weight" if self.c["tie"] else "head.weight"]
        return self.norm(x, "norm") @ head.T


def losses(logits, targets):
    """-log softmax(logits)[target] per row; 0 where the target is -1. logits [rows, V]."""
    top = logits.data.max(axis=-1, keepdims=True)
    log_sum = log(exp(logits - top).sum(-1)) + top
    rows = np.arange(len(targets))
    picked = logits[rows, np.maximum(targets, 0)]
    return (log_sum.reshape(len(targets)) - picked) * (targets >= 0).astype(np.float64)
