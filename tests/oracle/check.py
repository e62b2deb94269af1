"""check.py DUMP_MODEL NAME: recomputes one tiny model's logits, losses and gradients and names every tensor that differs."""
import json
import pathlib
import subprocess
import sys
import tempfile

SKIPPED = 77
# Both sides compute in f64; sums run in another order. The largest difference seen is 1.5e-14 of a tensor's length (NexusFull),
# other processors add in yet another order. A wrong formula is wrong by far more than this, and a single constant that is a
# float by 1e-9 to 5e-8.
TOLERANCE = 3e-13


def read(folder):
    import numpy as np
    index = json.loads((folder / "index.json").read_text())
    data = np.fromfile(folder / "data.f64")
    tensors = {}
    for name, place in index["tensors"].items():
        count = int(np.prod(place["shape"]))
        tensors[name] = data[place["offset"]:place["offset"] + count].reshape(place["shape"])
    return index, tensors


def recompute(index, tensors):
    """The same tensors by the oracle: losses, logits, and a gradient for every weight."""
    import numpy as np
    import models
    from tape import Var, gradients
    weights = {name[len("weight/"):]: Var(value) for name, value in tensors.items() if name.startswith("weight/")}
    shape = (index["batch"], index["context"])
    tokens, targets = np.array(index["tokens"]).reshape(shape), np.array(index["targets"])
    logits = models.Model(index["config"], weights).logits(tokens).reshape(len(targets), -1)
    losses = models.losses(logits, targets)
    slopes = gradients(losses.sum() * index["grad_scale"], list(weights.values()))
    expected = {f"gradient/{name}": slope for name, slope in zip(weights, slopes)}
    return expected | {"losses": losses.data, "logits": logits.data}


def compare(expected, tensors):
    """One line per tensor that differs; also the largest relative difference."""
    import numpy as np
    wrong, worst = [], 0.0
    for name, value in expected.items():
        distance = np.linalg.norm(tensors[name] - value) / max(np.linalg.norm(value), 1e-300)
        worst = max(worst, distance)
        if not distance <= TOLERANCE:  # also true for NaN
            wrong.append(f"{name}: relative difference {distance:.3g}, tolerance {TOLERANCE:g}")
    return wrong, worst


def main(program, model):
    try:
        import numpy  # noqa: F401
    except ImportError:
        print(f"SKIPPED: {sys.executable} has no NumPy (Debian: python3-numpy)")
        return SKIPPED
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([program, model, folder], check=True)
        index, tensors = read(pathlib.Path(folder))
    expected = recompute(index, tensors)
    unchecked = {name for name in tensors if not name.startswith("weight/")} - set(expected)
    wrong, worst = compare(expected, tensors)
    wrong += [f"{name}: not recomputed" for name in sorted(unchecked)]
    print("\n".join(wrong) or f"{model}: {len(expected)} tensors agree, largest relative difference {worst:.2g}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
