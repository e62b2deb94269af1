"""Which tokens a run reads, written from docs/numerics.md."""
import struct

import numpy as np

from streams import Permutation

CYCLE = 10000


def read_tokens(prefix):
    """All ids of a Megatron token file, one document after the other."""
    with open(f"{prefix}.idx", "rb") as file:
        magic, version, code = struct.unpack("<9sQB", file.read(18))
    if magic != b"MMIDIDX\0\0" or version != 1:
        raise ValueError(f"{prefix}.idx is no Megatron index")
    return np.fromfile(f"{prefix}.bin", dtype={4: "<i4", 8: "<u2"}[code]).astype(np.int64)


class Windows:
    """Window w covers tokens [w T, w T + T]: T inputs, and as targets the T tokens one later."""

    def __init__(self, prefix, context):
        self.tokens, self.context = read_tokens(prefix), context
        self.count = (len(self.tokens) - 1) // context

    def fetch(self, window):
        first = window * self.context
        return self.tokens[first:first + self.context], self.tokens[first + 1:first + self.context + 1]


def quotas(weights, cycle):
    """Samples of each data set in a cycle: largest remainder, at least 1."""
    exact = [weight / sum(weights) * cycle for weight in weights]
    found = [max(int(share), 1) for share in exact]
    remainders = [share - quota for share, quota in zip(exact, found)]
    while sum(found) < cycle:
        place = remainders.index(max(remainders))
        found[place] += 1
        remainders[place] -= 1
    while sum(found) > cycle:
        found[found.index(max(found))] -= 1
    return found


class Sampler:
    def __init__(self, datasets, context, seed):
        """`datasets`: (prefix, weight) each."""
        self.files = [Windows(prefix, context) for prefix, _ in datasets]
        self.cycle = 1 if len(datasets) == 1 else CYCLE
        self.quotas = quotas([weight for _, weight in datasets], self.cycle)
        self.seed = seed
        self.permutations = {}

    def permute(self, size, name, index):
        if name not in self.permutations:
            self.permutations[name] = Permutation(size, self.seed, name)
        return self.permutations[name].at(index)

    def locate(self, sample):
        """(data set, its epoch, window) of a sample."""
        cycle, slot = divmod(sample, self.cycle)
        slot = self.permute(self.cycle, f"sample mixture {cycle}", slot)
        dataset = 0
        while slot >= self.quotas[dataset]:
            slot -= self.quotas[dataset]
            dataset += 1
        count = self.files[dataset].count
        epoch, place = divmod(cycle * self.quotas[dataset] + slot, count)
        return dataset, epoch, self.permute(count, f"sample order {dataset} {epoch}", place)

    def batch(self, first, count):
        """Tokens and targets [count, T] of samples first, first + 1, ..."""
        places = [self.locate(sample) for sample in range(first, first + count)]
        rows = [self.files[dataset].fetch(window) for dataset, _, window in places]
        return np.stack([row[0] for row in rows]), np.stack([row[1] for row in rows])


def evaluation_windows(available, context, max_tokens):
    """The windows of an evaluation: all, or so many, evenly spread."""
    wanted = min(max(max_tokens // context, 1), available) if max_tokens > 0 else available
    return [i * available // wanted for i in range(wanted)]
