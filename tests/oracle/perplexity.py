"""perplexity.py NEXUS FOLDER: perplexities of texts and token files by nexus and again by the oracle, window by window.

The oracle takes ids from token files, decides for each token by itself in which window it is scored, and computes every window on its
own. On non-overlapping windows the figure must be the validation loss of the training run.
"""
import json
import lzma
import math
import subprocess
import sys

from packages import require_packages
from tasks import CONTEXT, F64, MODEL, STAGES, Tokens, difference, phrase
from train import COMMON, write_campaign

TASKS = {
    # name: (task file, is each document read on its own, stride)
    "joined": ("text: [absent.txt, lines.txt]\ndocuments: line\n", False, CONTEXT),
    "strided": ("text: lines.txt\ndocuments: line\nstride: 7\n", False, 7),
    "documents": ("text: pages.jsonl\ndocuments: jsonl\nfield: page\nwindows: document\nstride: 11\n", True, 11),
    "tokens": ("tokens: [absent, texts-train]\nwindows: document\n", True, CONTEXT),
    "valid": ("", False, CONTEXT),
}
METRICS = ["token_perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte"]


def windows_of(count, context, stride):
    """[(begin, end, [places of the tokens scored])], from the rule of each token: it is scored by the first window that reaches it."""
    found = {}
    for place in range(1, count):
        shift = 0 if place <= context else -(-(place - context) // stride)
        end = min(count, context + 1 + shift * stride)
        found.setdefault((max(0, end - context - 1), end), []).append(place)
    return [(begin, end, places) for (begin, end), places in found.items()]


class Oracle:
    def __init__(self, checkpoint):
        import models
        from checkpoint import read_checkpoint
        from pathlib import Path
        from tape import Var
        from train import complete
        _, tensors = read_checkpoint(Path(checkpoint))
        weights = {name[len("master/"):]: Var(value) for name, value in tensors.items() if name.startswith("master/")}
        self.model = models.Model(complete(MODEL), weights)

    def loglikelihoods(self, ids, stride):
        """Of each window: (sum, tokens)."""
        import models
        result = []
        for begin, end, places in windows_of(len(ids), CONTEXT, stride):
            logits = self.model.logits(ids[None, begin:end - 1]).reshape(end - 1 - begin, -1)
            losses = models.losses(logits, ids[begin + 1:end]).data
            result.append((-sum(losses[place - begin - 1] for place in places), len(places)))
        return result


def figures(items, words, size):
    """{metric: (value, standard error)} of [(sum, tokens)]."""
    total, tokens, count = -sum(s for s, _ in items), sum(n for _, n in items), len(items)
    rate = total / tokens
    error = math.sqrt(count / (count - 1) * sum((-s - rate * n) ** 2 for s, n in items))
    result = {f"{name}_perplexity": (math.exp(total / per), math.exp(total / per) * error / per)
              for name, per in (("token", tokens), ("word", words), ("byte", size))}
    bits = size * math.log(2)
    return result | {"bits_per_byte": (total / bits, error / bits)}


def write_texts(folder):
    """Files of the tasks; the documents of each, by task."""
    import random
    source = random.Random(8)
    lines = [phrase(source, 1, 40) + source.choice(["", " \u00fc\u3000\u00fc", "  end\u00a0ed"]) for _ in range(40)]
    pages = [f" {phrase(source, 1, 60)}\n\n\n{phrase(source, 1, 20)} \n" for _ in range(12)] + ["one"]
    (folder / "lines.txt.xz").write_bytes(lzma.compress(("\n \n".join(lines) + "\n").encode()))
    (folder / "pages.jsonl").write_text("".join(json.dumps({"page": page}) + "\n" for page in pages))
    for name, (text, _, _) in TASKS.items():
        (folder / f"{name}.yaml").write_text(f"task: {name}\nscore: perplexity\n{text}")
    return {"joined": lines, "strided": lines, "documents": pages, "tokens": sorted({*lines, *pages})}


def evaluate(work, checkpoint, out, *more, ranks=1):
    work.ranks = ranks
    launch = work.command("none")
    files = ",".join(str(work.folder / f"{task}.yaml") for task in TASKS)
    command = [*launch[:launch.index(work.nexus)], work.nexus, "eval", checkpoint, "--tasks", files, "--data", work.folder, "--out",
               work.folder / out, *more]
    done = subprocess.run(list(map(str, command)), env=work.environment(), capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"FAILED: {out} exited with {done.returncode}: {done.stderr}")
    results = {row["task"]: row for row in json.loads((work.folder / out / "results.json").read_text())["tasks"]}
    lines = {task: [json.loads(line) for line in (work.folder / out / f"{task}.jsonl").read_text().splitlines()] for task in TASKS}
    return results, lines


def items_of(oracle, task, documents, tokens, valid):
    """([(log-likelihood, tokens)], words, bytes) as the oracle finds them."""
    import numpy as np
    _, by_document, stride = TASKS[task]
    if task == "valid":
        return oracle.loglikelihoods(valid, stride), None, None
    parts = [tokens.of(document) for document in documents]
    words, size = sum(len(d.split()) for d in documents), sum(len(d.encode()) for d in documents)
    if not by_document:
        return oracle.loglikelihoods(np.concatenate(parts), stride), words, size
    windows = [oracle.loglikelihoods(ids, stride) for ids in parts]
    return [(sum(s for s, _ in each), sum(n for _, n in each)) for each in windows], words, size


def compare(results, lines, expected, wrong):
    worst = 0.0
    for task, (items, words, size) in expected.items():
        told = [(line["loglikelihoods"][0], line["tokens"][0]) for line in lines[task]]
        if [n for _, n in told] != [n for _, n in items] or [line["id"] for line in lines[task]] != [str(i) for i in range(len(items))]:
            wrong.append(f"{task}: other windows: {[n for _, n in told]}, expected {[n for _, n in items]}")
            continue
        worst = max([worst, *(difference(a, b) for (a, _), (b, _) in zip(told, items))])
        row = results[task]
        words, size = words or row["words"], size or row["bytes"]
        if (row["words"], row["bytes"], row["items"], row["stride"]) != (words, size, len(items), TASKS[task][2]):
            wrong.append(f"{task}: {row}, expected {words} words, {size} bytes, {len(items)} items")
        for name, (value, error) in figures(items, words, size).items():
            worst = max(worst, difference(row["metrics"][name]["value"], value), difference(row["metrics"][name]["se"], error))
        if list(row["metrics"]) != METRICS:
            wrong.append(f"{task}: {list(row['metrics'])}")
    if worst > F64:
        wrong.append(f"relative difference {worst:.3g} from the oracle, tolerance {F64:g}")
    return worst


def check_validation(work, lines, results, valid, checkpoint, wrong):
    """The windows of training, hence its loss at the end of the stage."""
    records = [json.loads(line) for line in (work.folder / "run" / "eval.jsonl").read_text().splitlines()]
    last = [record for record in records if record["kind"] == "eval"][-1]
    whole = (len(valid) - 1) // CONTEXT
    few, _ = evaluate(work, checkpoint, "whole-windows", "--limit", whole)
    figure = few["valid"]["metrics"]["token_perplexity"]
    differences = [difference(math.log(figure["value"]), last["loss"]),
                   difference(figure["se"] / figure["value"], last["loss_se"]),
                   difference(results["valid"]["metrics"]["bits_per_byte"]["value"], last["bits_per_byte"])]
    # The standard error of the loss is a difference of squares; bits per byte are over all tokens, not over whole windows only.
    if last["windows"] != whole or differences[0] > F64 or differences[1] > 1e-9 or differences[2] > 1e-2:
        wrong.append(f"the validation loss {last['loss']} of {last['windows']} windows differs by {differences}: {figure}, {whole}")
    for window, loss in zip(lines["valid"], last["window_losses"]):  # of seven digits
        if difference(-window["loglikelihoods"][0] / CONTEXT, loss) > 1e-6:
            wrong.append(f"window {window} has loss {loss} in training")


def main(nexus, folder):
    if (skipped := require_packages()) is not None:
        return skipped
    from harness import Workspace
    from samples import read_tokens
    work, wrong = Workspace(nexus, folder), []
    campaign = write_campaign(COMMON | {"model": MODEL, "stages": STAGES, "max_tokens": 0}, work, [(f"{work.folder}/data-train", 1.0)])
    work.settings = [f"tokenizer.path={work.folder / 'data.model'}"]
    done = subprocess.run(list(map(str, work.command(campaign))), env=work.environment(), capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"FAILED: training: {done.stderr}")
    work.settings = []
    checkpoint = work.newest("run")
    documents = write_texts(work.folder)
    tokens = Tokens(work, [text for texts in documents.values() for text in texts])
    valid = read_tokens(work.folder / "data-valid")
    results, lines = evaluate(work, checkpoint, "out")
    oracle = Oracle(checkpoint)
    expected = {task: items_of(oracle, task, documents.get(task), tokens, valid) for task in TASKS}
    worst = {"oracle": compare(results, lines, expected, wrong)}
    check_validation(work, lines, results, valid, checkpoint, wrong)
    for what, ranks, more in (("other batches", 1, ["--batch-tokens", "70"]), ("dp 2", 2, []), ("tp 2", 2, ["--tp", "2"])):
        _, other = evaluate(work, checkpoint, what.replace(" ", "-"), *more, ranks=ranks)
        worst[what] = max(difference(a["loglikelihoods"][0], b["loglikelihoods"][0])
                          for task in TASKS for a, b in zip(other[task], lines[task], strict=True))
        if worst[what] > (0 if what == "dp 2" else F64):
            wrong.append(f"{what}: relative difference {worst[what]:.3g}")
    print("largest relative differences: " + ", ".join(f"{what} {value:.1e}" for what, value in worst.items()))
    print("\n".join(wrong) or "all perplexities agree")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
