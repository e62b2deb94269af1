"""real_tasks.py NEXUS FOLDER DATA: the first items of the tasks that come with nexus, from their real files in DATA, zero-shot and
few-shot. Contexts and continuations are rendered here, by the published rules, and scored by the oracle.
"""
import json
import lzma
import re
import subprocess
import sys
from pathlib import Path

from tasks import F64, MODEL, STAGES, Oracle, difference, draw_shots
from packages import SKIPPED, require_packages
from train import COMMON, write_campaign

ITEMS, CONTEXT, SHOTS, SEED = 4, 700, 1, 3


def lines(path):
    text = lzma.open(path, "rt", encoding="utf-8").read() if path.suffix == ".xz" else path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def science(item):
    labels = [choice["label"] for choice in item["question"]["choices"]]
    return (item["id"], [(f"Question: {item['question']['stem']}\nAnswer:", choice["text"]) for choice in item["question"]["choices"]],
            labels.index(item["answerKey"]))


def open_book(item):
    name, choices, gold = science(item)
    return name, [(item["question"]["stem"], text) for _, text in choices], gold


def clean(text):
    return re.sub(r"\[.*?\]", "", text.strip().replace(" [title]", ". ")).replace("  ", " ")


def read_tasks(data):
    """Of each task: (items, examples), an item as (id, [(context, continuation)], gold)."""
    numbered = lambda rows: [(str(i), *row) for i, row in enumerate(rows)]
    lambada = numbered(([tuple(item["text"].rsplit(" ", 1))], 0) for item in lines(data / "lambada_test.jsonl"))
    hellaswag = numbered(([(clean(item["query"]), clean(end)) for end in item["endings"]], int(item["label"]))
                         for item in lines(data / "hellaswag_val.jsonl.xz"))
    labels = (data / "piqa_valid-labels.lst").read_text().split()
    piqa = numbered(([(f"Question: {item['goal']}\nAnswer:", item[key]) for key in ("sol1", "sol2")], int(label))
                    for item, label in zip(lines(data / "piqa_valid.jsonl"), labels, strict=True))
    winogrande = []
    for item in lines(data / "winogrande_xl_dev.jsonl"):
        before, after = item["sentence"].split("_", 1)
        winogrande.append(([(before + item[key], after.strip()) for key in ("option1", "option2")], int(item["answer"]) - 1))
    tasks = {"lambada_openai": lambada, "hellaswag": hellaswag, "piqa": piqa, "winogrande": numbered(winogrande)}
    tasks = {name: (rows, None) for name, rows in tasks.items()}
    for name, kind in (("arc_easy", "ARC-Easy"), ("arc_challenge", "ARC-Challenge")):
        tasks[name] = tuple([science(item) for item in lines(data / f"{kind}-{part}.jsonl")] for part in ("Test", "Dev"))
    tasks["openbookqa"] = tuple([open_book(item) for item in lines(data / f"openbookqa_{part}.jsonl")] for part in ("test", "dev"))
    return tasks


def asked(task, rows, others, shots):
    """The first items behind their examples, as the oracle takes them: and the examples' ids."""
    pool, items = others or rows, []
    for number, (name, choices, gold) in enumerate(rows[:ITEMS]):
        drawn = [pool[i] for i in draw_shots(task, number, len(pool), shots, SEED, None if others else number)]
        before = "".join(" ".join(example[right]) + "\n\n" for _, example, right in drawn)
        items.append((name, [(before + context, " " + end, len(end)) for context, end in choices], gold, [example for example, _, _ in drawn]))
    return items


def check(work, checkpoint, tasks, shots, data, wrong):
    items = {task: asked(task, *rows, shots) for task, rows in tasks.items()}
    done = subprocess.run([work.nexus, "eval", checkpoint, "--tasks", ",".join(tasks), "--data", data, "--limit", str(ITEMS), "--context",
                           str(CONTEXT), "--shots", str(shots), "--seed", str(SEED), "--out", work.folder / f"shots-{shots}"],
                          env=work.environment(), capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"FAILED: {done.stderr}")
    oracle = Oracle(work, checkpoint, {task: [row[:3] for row in rows] for task, rows in items.items()}, CONTEXT)
    worst = 0.0
    for task, rows in items.items():
        told = [json.loads(line) for line in (work.folder / f"shots-{shots}" / f"{task}.jsonl").read_text().splitlines()]
        for line, (name, choices, gold, examples) in zip(told, rows, strict=True):
            scores = [oracle.score(context, end) for context, end, _ in choices]
            expected = (name, [s[1] for s in scores], [length for _, _, length in choices], choices[0][1][1:] if task == "lambada_openai" else gold,
                        examples)
            if (line["id"], line["tokens"], line["characters"], line["gold"], line.get("shots", [])) != expected:
                wrong.append(f"{task}: {line}, expected {expected}")
                continue
            worst = max([worst, *(difference(a, s[0]) for a, s in zip(line["loglikelihoods"], scores, strict=True))])
    if worst > F64:
        wrong.append(f"{shots} examples: relative difference {worst:.3g} from the oracle, tolerance {F64:g}")
    return worst


def main(nexus, folder, data):
    if not (Path(data) / "lambada_test.jsonl").exists():
        print(f"SKIPPED: {data} has no tasks' files (NEXUS_EVAL_DATA of CMake names another folder)")
        return SKIPPED
    if (skipped := require_packages()) is not None:
        return skipped
    from harness import Workspace
    work, wrong = Workspace(nexus, folder), []
    tasks = read_tasks(Path(data))
    # A vocabulary that knows the characters of these texts: what it did not know would be one token for many.
    some = [text for rows, _ in tasks.values() for _, choices, _ in rows[:200] for text in choices[0]]
    (work.folder / "some.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in some))
    work.call("data", "build", work.folder / "some.jsonl", "--documents", "jsonl", "--vocab", "400", "--valid-share", "0.1", "--out",
              work.folder / "data", "--force")
    campaign = write_campaign(COMMON | {"model": MODEL | {"V": 400}, "stages": [STAGES[0] | {"steps": 4}]}, work, [(f"{work.folder}/data-train", 1.0)])
    work.settings = [f"tokenizer.path={work.folder / 'data.model'}"]
    work.train_to_end(campaign)
    worst = {shots: check(work, work.newest("run"), tasks, shots, data, wrong) for shots in (0, SHOTS)}
    print("largest relative differences: " + ", ".join(f"{value:.1e} with {shots} examples" for shots, value in worst.items()))
    print("\n".join(wrong) or "all scores agree")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
