#!/usr/bin/env python3
"""PyTorch peer of `nexus bench step`: a Nexusformer (docs/numerics.md), one training step on random tokens.

    python3 tests/bench/peers/torch_step.py --threads 2 --steps 10            (f32)
    python3 tests/bench/peers/torch_step.py --threads 2 --steps 10 --bf16     (autocast)
    python3 tests/bench/peers/torch_step.py --device cuda --bf16 --compile --D 768 --L 12 --H 12 --M 1024 --A 1280 \\
        --F 2048 --V 32000 --context 4096 --batch 16 --accumulate 2

Written plainly in PyTorch as its users would: fused attention where the version has it, AdamW (fused on a GPU), gradient
clipping, f32 weights under autocast. With bf16 on a GPU the residual stream is bf16, too, as that of nexus is.
"""
import argparse
import contextlib
import gc
import json
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
        return (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight).type_as(x)


def rotate(x, cos, sin):
    first, second = x.chunk(2, dim=-1)
    return (x * cos + torch.cat((-second, first), dim=-1) * sin).type_as(x)


def attention(q, k, v):
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    t = q.shape[-2]
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    mask = torch.ones(t, t, dtype=torch.bool, device=q.device).tril()
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
    def __init__(self, c, stream=torch.float32):
        super().__init__()
        self.stream = stream  # type of the residual stream
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
        x = self.embed(tokens).to(self.stream)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        logits = self.head(self.norm(x))
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


def make_optimizer(model, device):
    """AdamW; like nexus's, the weights of norms do not decay."""
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=1e-4, betas=(0.9, 0.95), **({"fused": True} if device == "cuda" else {}))


def attention_kernel(name):
    """A scope in which scaled_dot_product_attention takes this kernel; "auto" leaves the choice to PyTorch."""
    if name == "auto":
        return contextlib.nullcontext()
    from torch.nn.attention import SDPBackend, sdpa_kernel
    return sdpa_kernel({"cudnn": SDPBackend.CUDNN_ATTENTION, "flash": SDPBackend.FLASH_ATTENTION}[name])


def time_steps(c, batch, accumulate):
    """Seconds of the timed steps, the last loss, and the count of parameters."""
    torch.manual_seed(1)
    stream = torch.bfloat16 if c.bf16 and c.device == "cuda" else torch.float32
    model = Nexusformer(c, stream).to(c.device)
    optimizer = make_optimizer(model, c.device)
    run = torch.compile(model, mode=c.mode) if c.compile else model
    wait = torch.cuda.synchronize if c.device == "cuda" else (lambda: None)
    seconds = []
    for step in range(c.warmup + c.steps):
        tokens = torch.randint(c.V, (accumulate, batch, c.context + 1), device=c.device)
        wait()
        start = time.perf_counter()
        total = torch.zeros((), device=c.device)
        for part in tokens:
            with attention_kernel(c.sdpa), torch.autocast(c.device, torch.bfloat16, enabled=c.bf16):
                loss = run(part[:, :-1], part[:, 1:]) / accumulate
            loss.backward()
            total += loss.detach()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        wait()
        if step >= c.warmup:
            seconds.append(time.perf_counter() - start)
    return seconds, total.item(), sum(p.numel() for p in model.parameters())


def time_what_fits(c):
    """The same tokens a step in smaller batches where the GPU's memory does not suffice: (batch, accumulate, times)."""
    batch, accumulate = c.batch, c.accumulate
    while True:
        try:
            return batch, accumulate, time_steps(c, batch, accumulate)
        except RuntimeError as error:  # the GPU's out-of-memory error is one
            if c.device != "cuda" or "out of memory" not in str(error) or batch % 2 != 0:
                raise
        batch, accumulate = batch // 2, accumulate * 2
        gc.collect()  # the model of the failed attempt goes first
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        if c.compile:
            torch._dynamo.reset()  # or the other batch would be compiled for any size


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in dict(D=192, L=3, H=4, M=256, A=320, F=512, V=4096, context=512, batch=8, accumulate=1).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=2, help="on the CPU")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--compile", action="store_true", help="torch.compile instead of eager execution")
    parser.add_argument("--mode", help="mode of torch.compile, e.g. max-autotune-no-cudagraphs")
    parser.add_argument("--sdpa", choices=["auto", "cudnn", "flash"], default="auto", help="attention kernel")
    parser.add_argument("--json", action="store_true", help="machine-readable, on stdout")
    return parser.parse_args()


def main():
    c = parse_arguments()
    if c.device == "cpu":
        torch.set_num_threads(c.threads)
    batch, accumulate, (seconds, loss, params) = time_what_fits(c)
    median, tokens = statistics.median(seconds), batch * accumulate * c.context
    place = torch.cuda.get_device_name() if c.device == "cuda" else f"threads {c.threads}"
    kind = f"{'bf16 autocast' if c.bf16 else 'f32'} {'compiled' if c.compile else 'eager'}"
    peak, reserved = (0, 0) if c.device == "cpu" else (torch.cuda.max_memory_allocated(),
                                                       torch.cuda.max_memory_reserved())
    if c.json:
        print(json.dumps({"peer": f"torch {torch.__version__} {kind}, {place}", "step_seconds": seconds,
                          "median_step_seconds": median, "tokens_per_step": tokens, "tokens_per_second": tokens / median,
                          "batch": batch, "accumulate": accumulate, "params": params, "loss": loss, "sdpa": c.sdpa,
                          "mode": c.mode, "peak_bytes": peak, "reserved_bytes": reserved}))
        return
    memory = f" | peak {peak / 1e9:.1f} GB, reserved {reserved / 1e9:.1f} GB" if peak else ""
    print(f"torch {torch.__version__} {kind} {place} params {params} | batch {batch} x {accumulate} | "
          f"step median {median * 1e3:.1f} ms, min {min(seconds) * 1e3:.1f}, max {max(seconds) * 1e3:.1f} | "
          f"{1 / median:.3f} steps/s | {tokens / median:.0f} tok/s | loss {loss:.4f}{memory}")


if __name__ == "__main__":
    main()
