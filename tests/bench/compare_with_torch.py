#!/usr/bin/env python3
"""nexus against PyTorch on the same training step, in turn, on this machine.

    python3 tests/bench/compare_with_torch.py build/nexus --threads 2 --rounds 5 [--dtype bf16] [--torch-python python3]
    python3 tests/bench/compare_with_torch.py build-gpu/nexus --device cuda --rounds 3 [--eager] [--out FILE.json]

Each round times nexus, then PyTorch (median of --steps steps each, random data); the ratio of every round and their median
are printed, so that a machine whose speed drifts cannot favour one side. On a CPU the peer runs eagerly, on a GPU compiled
(--eager adds the eager one). Both make the same number of tokens a step; --micro and --peer-batch say in which portions.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
CONFIGS = HERE.parents[1] / "configs/bench"


def call(command, environment):
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\nexited with {done.returncode}:\n{done.stderr.strip()[-4000:]}")
    return json.loads(done.stdout[done.stdout.index("{"):])


def run_nexus(options, environment):
    command = [options.nexus, "bench", "step", str(options.config), "--json", "--no-families", "--device", options.device,
               "--steps", str(options.steps), "--warmup", str(options.warmup), "-s", f"precision.compute={options.dtype}"]
    if options.micro:
        command += ["--micro", str(options.micro)]
    return call(command, environment)


def run_torch(options, environment, compiled, ours, batch):
    """The shape and the tokens of a step are those that nexus has reported."""
    shape = ours["shape"]
    if shape["arch"] != "nexusformer":
        sys.exit(f"the peers build a nexusformer, the campaign is a {shape['arch']}")
    accumulate, rest = divmod(shape["global_tokens"], shape["context"] * batch)
    if rest or accumulate == 0:
        sys.exit(f"--peer-batch {batch} x context {shape['context']} does not divide {shape['global_tokens']} tokens")
    command = [options.torch_python, str(HERE / "peers/torch_step.py"), "--json", "--device", options.device, "--threads",
               str(options.threads), "--steps", str(options.steps), "--warmup", str(options.warmup), "--sdpa", options.sdpa,
               "--batch", str(batch), "--accumulate", str(accumulate), "--context", str(shape["context"])]
    for name in ("D", "L", "H", "M", "A", "F", "V"):
        command += [f"--{name}", str(shape[name])]
    command += ["--bf16"] if options.dtype == "bf16" else []
    command += ["--compile"] if compiled else []
    command += ["--mode", options.mode] if compiled and options.mode else []
    theirs = call(command, environment)
    if theirs["params"] != ours["params"] or theirs["tokens_per_step"] != ours["tokens_per_step"]:
        sys.exit(f"not the same step: nexus has {ours['params']} parameters and {ours['tokens_per_step']} tokens, "
                 f"the peer {theirs['params']} and {theirs['tokens_per_step']}")
    return theirs


def speed_text(result):
    memory = result.get("device_bytes") or result.get("reserved_bytes") or 0
    return (f"{result['median_step_seconds'] * 1e3:.1f} ms {result['tokens_per_second']:.0f} tok/s"
            + (f" {memory / 1e9:.1f} GB" if memory else ""))


def run_round(options, environment, batches):
    """One result per program. `batches` remembers the peer's sizes: it halves one that does not fit."""
    round_results = {"nexus": run_nexus(options, environment)}
    ours = round_results["nexus"]
    for peer in options.peers:
        batch = batches.get(peer) or options.peer_batch or ours["micro"]
        round_results[peer] = run_torch(options, environment, peer == "compiled", ours, batch)
        batches[peer] = round_results[peer]["batch"]
    return round_results


def summary(options, rounds):
    result = {"device": options.device, "dtype": options.dtype, "config": str(options.config), "rounds": rounds}
    for peer in options.peers:
        ratios = [r[peer]["median_step_seconds"] / r["nexus"]["median_step_seconds"] for r in rounds]
        result[peer] = {"ratios": ratios, "median_ratio": statistics.median(ratios),
                        "nexus_tokens_per_second": statistics.median(r["nexus"]["tokens_per_second"] for r in rounds),
                        "peer_tokens_per_second": statistics.median(r[peer]["tokens_per_second"] for r in rounds)}
    return result


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("nexus", help="the program")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--config", type=Path, help="campaign file (default: cpu-4.7m.yaml or gpu-250m.yaml)")
    parser.add_argument("--threads", type=int, default=2, help="of both programs, on the CPU")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--warmup", type=int, help="steps before them (default: 2, on a GPU 3)")
    parser.add_argument("--dtype", choices=["f32", "bf16"], help="default: f32, on a GPU bf16")
    parser.add_argument("--micro", type=int, help="sequences of a micro-batch of nexus (default: the campaign's)")
    parser.add_argument("--peer-batch", type=int, help="sequences of the peer's (default: as nexus; halved if too many)")
    parser.add_argument("--eager", action="store_true", help="on a GPU: the eager peer besides the compiled one")
    parser.add_argument("--mode", help="mode of torch.compile")
    parser.add_argument("--sdpa", choices=["auto", "cudnn", "flash"], default="auto", help="the peer's attention kernel")
    parser.add_argument("--torch-python", help="a Python that can import torch (default: /usr/bin/python3, on a GPU this one)")
    parser.add_argument("--out", type=Path, help="JSON file for all figures")
    options = parser.parse_args()
    on_gpu = options.device == "cuda"
    options.config = options.config or CONFIGS / ("gpu-250m.yaml" if on_gpu else "cpu-4.7m.yaml")
    options.dtype = options.dtype or ("bf16" if on_gpu else "f32")
    options.warmup = (3 if on_gpu else 2) if options.warmup is None else options.warmup
    options.torch_python = options.torch_python or (sys.executable if on_gpu else "/usr/bin/python3")
    options.peers = (["compiled"] if on_gpu else []) + (["eager"] if options.eager or not on_gpu else [])
    return options


def main():
    options = parse_arguments()
    environment = dict(os.environ)
    if options.device == "cpu":
        environment["OMP_NUM_THREADS"] = str(options.threads)
    rounds, batches = [], {}
    for index in range(options.rounds):
        rounds.append(run_round(options, environment, batches))
        results = rounds[-1]
        if index == 0:
            print(f"nexus: {results['nexus']['backend']}, micro {results['nexus']['micro']}")
            for peer in options.peers:
                print(f"peer:  {results[peer]['peer']}, batch {results[peer]['batch']} x {results[peer]['accumulate']}")
        for peer in options.peers:
            ratio = results[peer]["median_step_seconds"] / results["nexus"]["median_step_seconds"]
            print(f"round {index + 1}: nexus {speed_text(results['nexus'])}, PyTorch {peer} {speed_text(results[peer])}, "
                  f"nexus is {ratio:.2f}x as fast", flush=True)
    report = summary(options, rounds)
    for peer in options.peers:
        ratios = report[peer]["ratios"]
        print(f"{options.dtype} on {options.device}, PyTorch {peer}: median {report[peer]['median_ratio']:.2f}x, "
              f"from {min(ratios):.2f}x to {max(ratios):.2f}x over {options.rounds} rounds")
    if options.out:
        options.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
