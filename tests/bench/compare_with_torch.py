#!/usr/bin/env python3
"""nexus against PyTorch on the same training step, in turn, on this machine.

    python3 tests/bench/compare_with_torch.py build/nexus --threads 2 --rounds 5 [--dtype bf16] [--torch-python python3]

Each round times nexus, then PyTorch (median of --steps steps each, random data); the ratio of every round and their median
are printed, so that a machine whose speed drifts cannot favour one side.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent


def nexus_ms(options, environment):
    command = [options.nexus, "bench", "step", str(HERE.parents[1] / "configs/bench/cpu-4.7m.yaml"), "--json", "--steps",
               str(options.steps), "-s", f"precision.compute={options.dtype}"]
    report = json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)
    return report["median_step_seconds"] * 1e3, report["backend"]


def torch_ms(options, environment):
    command = [options.torch_python, str(HERE / "peers/torch_step.py"), "--threads", str(options.threads), "--steps",
               str(options.steps)] + (["--bf16"] if options.dtype == "bf16" else [])
    line = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    return float(re.search(r"median ([0-9.]+) ms", line).group(1)), line.split(" params")[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("nexus", help="the program")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--torch-python", default="/usr/bin/python3", help="a Python that can import torch")
    options = parser.parse_args()
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
    ratios = []
    for index in range(options.rounds):
        ours, backend = nexus_ms(options, environment)
        theirs, peer = torch_ms(options, environment)
        if index == 0:
            print(f"nexus: {backend}\npeer:  {peer}")
        ratios.append(theirs / ours)
        print(f"round {index + 1}: nexus {ours:.1f} ms, PyTorch {theirs:.1f} ms, nexus is {ratios[-1]:.2f}x as fast")
    print(f"{options.dtype}, {options.threads} threads: median {statistics.median(ratios):.2f}x, "
          f"from {min(ratios):.2f}x to {max(ratios):.2f}x over {options.rounds} rounds")


if __name__ == "__main__":
    main()
