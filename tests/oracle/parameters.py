"""The parameter tensors of every architecture, their initial values and their growth, written from docs/numerics.md."""
import math
from dataclasses import dataclass

import numpy as np

from streams import Stream


@dataclass
class Tensor:
    name: str
    shape: tuple
    std: float = 0.02  # of the initial values; None: all ones
    widths: tuple = (None, None)  # the growable width that each axis follows
    produces: bool = True  # a new row makes a channel; new columns always read one
    decays: bool = True


def nexus_rank(prefix, d, m, a, out, a_width="A"):
    return [Tensor(f"{prefix}.w_m", (m, d), widths=("M", None)), Tensor(f"{prefix}.w_a", (a, m), widths=(a_width, "M")),
            Tensor(f"{prefix}.w_d", (out, a), widths=(None, a_width))]


def pattention(prefix, c, width, out):
    n, value_std = c[width], 2.0 / c["L"] / math.sqrt(c["D"])
    return [Tensor(f"{prefix}.key", (n, c["D"]), widths=(width, None)),
            Tensor(f"{prefix}.value", (n, out), std=value_std, widths=(width, None), produces=False)]


def branch(c, prefix, kind, out):
    """The tensors of one projection; kind: qkv, o or mlp."""
    nexus = c["arch"] == "nexusformer" and (kind == "qkv" or c["variant"] == "full")
    if c["arch"] == "tokenformer":
        return pattention(prefix, c, {"qkv": "n_qkv", "o": "n_proj", "mlp": "n_ffn"}[kind], out)
    if nexus and kind == "mlp":
        return nexus_rank(prefix, c["D"], c["M"], c["F"], out, a_width=None)
    if nexus:
        return nexus_rank(prefix, c["D"], c["M"], c["A"], out)
    if kind != "mlp":
        return [Tensor(f"{prefix}.weight", (out, c["D"]))]
    inputs = ["w_gate", "w_up"] if c["mlp"] == "swiglu" else ["w_up"]
    return [*(Tensor(f"{prefix}.{name}", (c["F"], c["D"])) for name in inputs), Tensor(f"{prefix}.w_down", (c["D"], c["F"]))]


def by_fan_in(tensor, c):
    """1 / sqrt(inputs), and for the last matrix of a residual branch 1 / sqrt(2 L) of that."""
    place, kind = tensor.name.split(".")[-2:]
    inputs = tensor.shape[0] if kind == "value" else tensor.shape[1]
    ends = place in ("o", "mlp") and kind in ("w_d", "weight", "w_down", "value")
    tensor.std = 1.0 / math.sqrt(inputs) / (math.sqrt(2.0 * c["L"]) if ends else 1.0)
    return tensor


def norm(name, c):
    return Tensor(name, (c["D"],), std=None, widths=(None,), decays=False)


def table(c):
    """Every tensor of a model, by name."""
    kv = c["kv_heads"] * (c["D"] // c["H"])
    tensors = [Tensor("embed.weight", (c["V"], c["D"]))]
    for i in range(c["L"]):
        layer = f"layers.{i}"
        if c["qk_norm"] == "rms":
            tensors += [Tensor(f"{layer}.attn.{name}_norm.weight", (width,), std=None, widths=(None,), decays=False)
                        for name, width in (("q", c["D"]), ("k", kv))]
        if c["arch"] != "tokenformer":
            tensors += [norm(f"{layer}.attn_norm.weight", c), norm(f"{layer}.mlp_norm.weight", c)]
        for name, out in (("q", c["D"]), ("k", kv), ("v", kv)):
            tensors += branch(c, f"{layer}.attn.{name}", "qkv", out)
        tensors += branch(c, f"{layer}.attn.o", "o", c["D"]) + branch(c, f"{layer}.mlp", "mlp", c["D"])
    if c["init"] == "fan_in":
        tensors = [by_fan_in(t, c) if t.name.startswith("layers.") and len(t.shape) == 2 else t for t in tensors]
    tensors.append(norm("norm.weight", c))
    if not c["tie"]:
        tensors.append(Tensor("head.weight", (c["V"], c["D"])))
    return {tensor.name: tensor for tensor in tensors}


def initial(tensor, seed):
    if tensor.std is None:
        return np.ones(tensor.shape)
    return tensor.std * Stream(seed, tensor.name).normal(np.arange(math.prod(tensor.shape))).reshape(tensor.shape)


def grown(tensor, old, seed, number, std, init):
    """What a growth makes of a tensor. init: zero_rows, zero_key_fixed_scale, zero_rows_matched, zero_copy, random_matched,
    random_key_matched or a split."""
    if old.shape == tensor.shape:
        return old
    copied = old[np.ix_(*(np.arange(extent) % before for extent, before in zip(tensor.shape, old.shape)))]
    if init in SPLITS:
        return copied * split_factors(tensor, old.shape, init)
    normal = Stream(seed, f"{tensor.name}#growth{number}").normal(np.arange(math.prod(tensor.shape))).reshape(tensor.shape)
    rms = math.sqrt((old * old).mean())
    new = {"zero_copy": copied + 1e-3 * rms * normal}.get(init, (rms if init and init.endswith("_matched") else std) * normal)
    free_corner = init in ("zero_rows_matched", "zero_copy")
    if tensor.produces and not (init and init.startswith("random")):
        new[old.shape[0]:, :old.shape[1] if free_corner else None] = 0
    new[:old.shape[0], :old.shape[1]] = old
    return new


SPLITS = ("split", "split_scaled_norm")


def split_factors(tensor, old_shape, init, of_gradient=False):
    """What a split multiplies each entry by, or its gradient."""
    factors = []
    for axis, (extent, old) in enumerate(zip(tensor.shape, old_shape)):
        makes = axis == 0 and tensor.produces
        number = np.arange(extent) // old + 1
        copies = (extent - 1 - np.arange(extent) % old) // old + 1
        share, scale = 2 * number / (copies * (copies + 1)), math.sqrt(old / extent) if init == "split_scaled_norm" else 1.0
        if of_gradient:
            factors.append(share / scale if makes and extent > old else np.ones(extent))
        else:
            factors.append(np.full(extent, scale) if makes else share)
    return factors[0] if len(factors) == 1 else factors[0][:, None] * factors[1][None, :]


def generation_of(tensor, generations):
    """Which growth made each entry: the later one of its row and its column."""
    of_axis = []
    for axis, extent in enumerate(tensor.shape):
        born = np.zeros(extent, dtype=int)
        width = tensor.widths[axis]
        for number in range(1, len(generations)) if width else ():
            born[generations[number - 1]["widths"][width]:] = number
        of_axis.append(born)
    return of_axis[0] if len(of_axis) == 1 else np.maximum(of_axis[0][:, None], of_axis[1][None, :])
