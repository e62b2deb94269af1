#!/usr/bin/env python3
"""PyTorch peer of `nexus bench step`: the Nexusformer of nexusformer.md section 1, one training step on random tokens.

    python3 tests/bench/peers/torch_step.py --threads 2 --steps 10            (f32)
    python3 tests/bench/peers/torch_step.py --threads 2 --steps 10 --bf16     (autocast)

Written plainly in PyTorch as its users would: fused attention where the version has it, AdamW, gradient clipping.
"""
import argparse
import math
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn


class NexusRank(nn.Module):
    def __init__(self, d, m, a, o):
        super().__init__()
        self.w_m, self.w_a, self.w_d = (nn.Linear(i, out, bias=False) for i, out in ((d, m), (m, a), (a, o)))
        self.scale = math.sqrt(o)

    def act(self, h):
        return F.gelu(h / (h.norm(dim=-1, keepdim=True) + 1e-5) * self.scale)

    def forward(self, x):
        return self.w_d(self.act(self.w_a(self.act(self.w_m(x)))))


class RMSNorm(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight


def rotate(x, cos, sin):
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


def attention(q, k, v):
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    t = q.shape[-2]
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    mask = torch.ones(t, t, dtype=torch.bool).tril()
    return scores.masked_fill(~mask, float("-inf")).softmax(-1) @ v


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.heads = c.H
        self.attn_norm, self.mlp_norm = RMSNorm(c.D), RMSNorm(c.D)
        self.q, self.k, self.v, self.o = (NexusRank(c.D, c.M, c.A, c.D) for _ in range(4))
        self.mlp = NexusRank(c.D, c.M, c.F, c.D)

    def forward(self, x, cos, sin):
        b, t, d = x.shape
        n = self.attn_norm(x)
        q, k, v = (p(n).view(b, t, self.heads, -1).transpose(1, 2) for p in (self.q, self.k, self.v))
        out = attention(rotate(q, cos, sin), rotate(k, cos, sin), v)
        x = x + self.o(out.transpose(1, 2).reshape(b, t, d))
        return x + self.mlp(self.mlp_norm(x))


class Nexusformer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.embed = nn.Embedding(c.V, c.D)
        self.blocks = nn.ModuleList(Block(c) for _ in range(c.L))
        self.norm = RMSNorm(c.D)
        self.head = nn.Linear(c.D, c.V, bias=False)
        half = c.D // c.H // 2
        angle = torch.arange(c.context)[:, None] * 10000.0 ** (-torch.arange(half) / half)
        self.register_buffer("cos", torch.cat((angle, angle), -1).cos())
        self.register_buffer("sin", torch.cat((angle, angle), -1).sin())
        for p in self.parameters():
            if p.dim() == 2:
                nn.init.normal_(p, std=0.02)

    def forward(self, tokens, targets):
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        logits = self.head(self.norm(x))
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in dict(D=192, L=3, H=4, M=256, A=320, F=512, V=4096, context=512, batch=8).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--bf16", action="store_true")
    c = parser.parse_args()
    torch.set_num_threads(c.threads)
    torch.manual_seed(1)
    model = Nexusformer(c)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1)
    seconds = []
    for step in range(c.warmup + c.steps):
        tokens = torch.randint(c.V, (c.batch, c.context + 1))
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=c.bf16):
            loss = model(tokens[:, :-1], tokens[:, 1:])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step >= c.warmup:
            seconds.append(time.perf_counter() - start)
    params = sum(p.numel() for p in model.parameters())
    median = statistics.median(seconds)
    print(f"torch {torch.__version__} {'bf16 autocast' if c.bf16 else 'f32'} threads {c.threads} params {params} | "
          f"step median {median * 1e3:.1f} ms, min {min(seconds) * 1e3:.1f}, max {max(seconds) * 1e3:.1f} | "
          f"{1 / median:.3f} steps/s | {c.batch * c.context / median:.0f} tok/s | loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
