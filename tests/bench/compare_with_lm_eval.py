#!/usr/bin/env python3
"""`nexus eval` beside lm-evaluation-harness on one checkpoint: the same scores item by item, and how fast each is.

usage: compare_with_lm_eval.py NEXUS CKPT --data EVAL_DATA [--tasks a,b] [--device cuda] [--limit N] [--batch-tokens N]
                               [--peer-python PYTHON] [--peer-batch N] [--peer-dtype float32] [--out FOLDER]

Unless FOLDER/hf is there, the checkpoint is exported as a Hugging Face folder, which the harness loads (`peers/lm_eval_scores.py`, run by PEER_PYTHON, which needs
lm_eval, torch and transformers). Its own tasks come from a hub; here they are local files, with questions and choices as this script renders
them from the data, by `docs/evaluation.md`'s rules and without nexus. Both read the same items; times are of whole processes, and
of scoring alone (reading and encoding included, loading programs and weights not).
"""
import argparse
import json
import lzma
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

TASKS = ["lambada_openai", "hellaswag", "piqa", "arc_easy", "arc_challenge", "winogrande", "openbookqa"]


def lines(path):
    with (lzma.open(path, "rt") if path.suffix == ".xz" else path.open()) as file:
        return [json.loads(line) for line in file]


def items_of(task, data):
    """{context, choices, gold}; of lambada {context, target}; of winogrande the contexts are the choices, and one target follows."""
    if task == "lambada_openai":
        return [dict(zip(("context", "target"), row["text"].rsplit(" ", 1))) for row in lines(data / "lambada_test.jsonl")]
    if task == "hellaswag":
        clean = lambda text: re.sub(r"\[.*?\]", "", text.strip().replace(" [title]", ". ")).replace("  ", " ")
        return [{"context": clean(row["query"]), "choices": [clean(ending) for ending in row["endings"]], "gold": row["label"]}
                for row in lines(data / "hellaswag_val.jsonl.xz")]
    if task == "piqa":
        labels = [int(line) for line in (data / "piqa_valid-labels.lst").read_text().split()]
        return [{"context": f"Question: {row['goal']}\nAnswer:", "choices": [row["sol1"], row["sol2"]], "gold": label}
                for row, label in zip(lines(data / "piqa_valid.jsonl"), labels)]
    if task.startswith("arc") or task == "openbookqa":
        name = {"arc_easy": "ARC-Easy-Test", "arc_challenge": "ARC-Challenge-Test", "openbookqa": "openbookqa_test"}[task]
        rows = []
        for row in lines(data / f"{name}.jsonl"):
            choices, stem = row["question"]["choices"], row["question"]["stem"]
            rows.append({"context": stem if task == "openbookqa" else f"Question: {stem}\nAnswer:",
                         "choices": [choice["text"] for choice in choices],
                         "gold": [choice["label"] for choice in choices].index(row["answerKey"])})
        return rows
    rows = []
    for row in lines(data / "winogrande_xl_dev.jsonl"):
        before, after = row["sentence"].split("_", 1)
        rows.append({"choices": [before + row["option1"], before + row["option2"]], "target": after.strip(), "gold": int(row["answer"]) - 1})
    return rows


TASK_FILE = """\
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {path}}}}}
test_split: test
"""
KINDS = {
    "choice": 'output_type: multiple_choice\ndoc_to_text: "{{context}}"\ndoc_to_choice: choices\ndoc_to_target: gold\nmetric_list: [{metric: acc}, {metric: acc_norm}]\n',
    "partial": 'output_type: multiple_choice\ndoc_to_text: gold\ndoc_to_choice: choices\ndoc_to_target: target\nmetric_list: [{metric: acc}]\n',
    "last_word": 'output_type: loglikelihood\ndoc_to_text: "{{context}}"\ndoc_to_target: " {{target}}"\nmetric_list: [{metric: acc}, {metric: perplexity}]\n',
}


def write_peer_tasks(tasks, data, folder, limit):
    counts = {}
    for task in tasks:
        rows = items_of(task, data)[:limit or None]
        counts[task] = len(rows)
        path = folder / f"{task}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        kind = {"winogrande": "partial", "lambada_openai": "last_word"}.get(task, "choice")
        (folder / f"local_{task}.yaml").write_text(TASK_FILE.format(name=f"local_{task}", path=path) + KINDS[kind])
    return counts


def run(command, what):
    start = time.perf_counter()
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        sys.exit(f"{what} ended with {done.returncode}:\n{done.stdout[-3000:]}")
    return time.perf_counter() - start


def compare(task, ours, theirs, choices_are_greedy):
    """(largest relative difference of log-likelihoods, items predicted alike, items)."""
    worst, alike = 0.0, 0
    for mine, other in zip(ours, theirs, strict=True):
        for a, b in zip(mine["loglikelihoods"], other["loglikelihoods"], strict=True):
            worst = max(worst, abs(a - b) / max(1.0, abs(b)))
        if choices_are_greedy:
            alike += mine["greedy"] == other["greedy"]
        else:
            best = max(range(len(other["loglikelihoods"])), key=lambda i: other["loglikelihoods"][i])
            alike += mine["prediction"] == best
    return worst, alike, len(ours)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("nexus")
    parser.add_argument("checkpoint")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tasks", default=",".join(TASKS[:6]))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--batch-tokens", type=int, default=0)
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--peer-batch", default="64")
    parser.add_argument("--peer-dtype", default="float32")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("lm-eval-comparison"))
    arguments = parser.parse_args()
    tasks = arguments.tasks.split(",")
    out = arguments.out.resolve()
    (out / "tasks").mkdir(parents=True, exist_ok=True)
    data = arguments.data.resolve()
    counts = write_peer_tasks(tasks, data, out / "tasks", arguments.limit)
    if not (out / "hf").exists():
        run([arguments.nexus, "ckpt", "export", arguments.checkpoint, "--format", "hf", "--out", out / "hf"], "the export")

    ours_command = [arguments.nexus, "eval", arguments.checkpoint, "--tasks", ",".join(tasks), "--data", data, "--device", arguments.device,
                    "--out", out / "nexus"]
    if arguments.limit:
        ours_command += ["--limit", arguments.limit]
    if arguments.batch_tokens:
        ours_command += ["--batch-tokens", arguments.batch_tokens]
    theirs_command = [arguments.peer_python, Path(__file__).parent / "peers" / "lm_eval_scores.py", "--model", out / "hf", "--tasks", out / "tasks",
                      "--names", ",".join(tasks), "--device", arguments.device, "--batch", arguments.peer_batch, "--dtype",
                      arguments.peer_dtype, "--out", out / "lm_eval"]
    whole = {"nexus": [], "lm_eval": []}
    scoring = []
    for _ in range(arguments.rounds):
        whole["nexus"].append(run(ours_command, "nexus eval"))
        whole["lm_eval"].append(run(theirs_command, "lm_eval"))
        scoring.append(json.loads((out / "lm_eval" / "seconds.json").read_text()))

    print(f"{'task':16} {'items':>6}  {'largest difference':>18}  {'predicted alike':>15}  nexus, lm_eval")
    results = json.loads((out / "nexus" / "results.json").read_text())["tasks"]
    for task in tasks:
        ours = lines(out / "nexus" / f"{task}.jsonl")
        theirs = lines(out / "lm_eval" / f"{task}.jsonl")
        greedy = task == "lambada_openai"
        worst, alike, total = compare(task, ours, theirs, greedy)
        their_acc = statistics.mean(row["correct"] for row in theirs)
        our_acc = next(entry for entry in results if entry["task"] == task)["metrics"]["acc"]["value"]
        print(f"{task:16} {total:6}  {worst:18.1e}  {alike:8} of {total}  acc {our_acc:.4f}, {their_acc:.4f}")
    items = sum(counts.values())
    mine, peer = statistics.median(whole["nexus"]), statistics.median(whole["lm_eval"])
    print(f"whole process: nexus {mine:.1f} s ({items / mine:.0f} items/s), lm_eval {peer:.1f} s ({items / peer:.0f} items/s): "
          f"{peer / mine:.2f} times as fast")
    print(f"of it lm_eval's evaluation alone, without loading program and weights: {statistics.median(scoring):.1f} s, "
          f"{statistics.median(scoring) / mine:.2f} times nexus's whole process")


main()
