"""tasks.py NEXUS FOLDER: scores zero-shot tasks with nexus and again with the oracle, item by item.

The oracle takes token ids from token files that `nexus data build` makes of contexts and of whole texts, weights from the checkpoint,
and computes every sequence by itself, without padding. Then nexus must say the same whatever the batches and the grid, and refuse
what it cannot score.
"""
import json
import lzma
import math
import random
import shutil
import subprocess
import sys
from pathlib import Path

from packages import require_packages
from train import COMMON, NEXUS, complete, write_campaign

# Of a log-likelihood (tens of nats). In f64 both sides add in another order (largest seen: 2e-15); in f32 products of another size
# and grids do (1.2e-6): what is allowed leaves room for other processors.
F64, F32 = 1e-12, 2e-5
CONTEXT = 30
MODEL = NEXUS | {"L": 2}
STAGES = [{"name": "base", "steps": 60, "lr": {"peak": 3e-3, "schedule": "constant", "warmup": "2 steps"}}]
WORDS = "the model grows along two inner axes and keeps what it has learned so far".split()

CHOICE_TASK = """\
task: endings
items: [absent.jsonl, endings.jsonl]
id: "{name}"
context: '{lead} {choice|first(n)}\\n{rest}  '
continuation: "{choice}"
choices: {each: ends, text: "{this.text}", name: "{this.sign}"}
gold: {field: right, is: name}
metrics: [acc_norm, acc]
"""
WORD_TASK = """\
task: word
items: word.jsonl
context: "{text|without_last_word}"
continuation: "{text|last_word}"
score: greedy
"""


def phrase(source, low, high):
    return " ".join(source.choice(WORDS) for _ in range(source.randint(low, high)))


def write_tasks(folder):
    """The tasks' files; of each the items as (id, [(context, continuation)], gold), by hand."""
    source = random.Random(5)
    endings, word, items = [], [], {"endings": [], "word": []}
    for number in range(25):
        count = source.choice([2, 3, 5])
        ends = [{"text": phrase(source, 1, 6) + source.choice(["", ".", "\u00fc"]), "sign": "ABCDE"[i]} for i in range(count)]
        gold = source.randrange(count)
        lead, rest = phrase(source, 0, 20), phrase(source, 1, 8)  # the longest do not fit
        endings.append({"name": f"i-{number}", "lead": lead, "rest": rest, "n": 1, "ends": ends, "right": "ABCDE"[gold]})
        texts = [end["text"] for end in ends]
        items["endings"].append((f"i-{number}", [(f"{lead} {text[:1]}\n{rest}", "   " + text, len(text)) for text in texts], gold))
    for number in range(60):
        text = phrase(source, 2, 24)
        word.append({"text": text})
        before, last = text.rsplit(" ", 1)
        items["word"].append((str(number), [(before, " " + last, len(last))], 0))
    (folder / "endings.jsonl.xz").write_bytes(lzma.compress("".join(json.dumps(i) + "\n" for i in endings).encode()))
    (folder / "word.jsonl").write_text("".join(json.dumps(i) + "\n" for i in word))
    for name, text in (("endings", CHOICE_TASK), ("word", WORD_TASK)):
        (folder / f"{name}.yaml").write_text(text)
    return items


def draw_shots(task, number, pool, count, seed, itself=None):
    """Numbers of the examples before an item: drawn from `pool` without repetition and without the item itself, by a function of seed,
    task and number."""
    from streams import Stream
    stream, drawn, counter = Stream(seed, f"shots {task}"), [], number << 32
    while len(drawn) < count:
        other = int(stream.bits(counter)) * pool >> 64
        if other not in (itself, *drawn):
            drawn.append(other)
        counter += 1
    return drawn


def with_shots(items, count, seed):
    """The items again behind solved examples from among themselves; and the examples' ids."""
    asked, shots = {}, {}
    for task, rows in items.items():
        asked[task], shots[task] = [], []
        for number, (name, choices, gold) in enumerate(rows):
            drawn = [rows[other] for other in draw_shots(task, number, len(rows), count, seed, number)]
            before = "".join("".join(choices[gold][:2]) + "\n\n" for _, choices, gold in drawn)
            asked[task].append((name, [(before + context, continuation, length) for context, continuation, length in choices], gold))
            shots[task].append([example for example, _, _ in drawn])
    return asked, shots


class Tokens:
    """Ids of texts, each with BOS, from a token file of one document a text."""

    def __init__(self, work, texts):
        from samples import read_tokens
        import numpy as np
        texts = sorted(set(texts) - {""})
        source = work.folder / "texts.jsonl"
        source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        work.call("data", "build", source, "--documents", "jsonl", "--tokenizer", work.folder / "data.model", "--valid-share", "0", "--force",
                  "--out", work.folder / "texts")
        ids = read_tokens(work.folder / "texts-train")
        documents = np.split(ids, np.flatnonzero(ids == 1)[1:])
        if len(documents) != len(texts):
            raise ValueError(f"{len(documents)} documents of {len(texts)} texts")
        self.ids = dict(zip(texts, documents))

    def of(self, text):
        import numpy as np
        return self.ids[text] if text else np.array([1])


class Oracle:
    def __init__(self, work, checkpoint, items, context=CONTEXT):
        import models
        from checkpoint import read_checkpoint
        from tape import Var
        _, tensors = read_checkpoint(Path(checkpoint))
        weights = {name[len("master/"):]: Var(value) for name, value in tensors.items() if name.startswith("master/")}
        self.model = models.Model(complete(MODEL), weights)
        texts = [text for task in items.values() for _, choices, _ in task for c, e, _ in choices for text in (c, c + e)]
        self.tokens = Tokens(work, texts)
        self.context = context

    def score(self, context, continuation):
        """(log-likelihood, tokens, is each the likeliest)"""
        import models
        whole = self.tokens.of(context + continuation)
        scored = len(whole) - len(self.tokens.of(context))
        whole = whole[-(self.context + 1):]
        logits = self.model.logits(whole[None, :-1]).reshape(len(whole) - 1, -1)
        losses = models.losses(logits, whole[1:]).data[-scored:]
        return -losses.sum(), scored, bool((logits.data.argmax(axis=1) == whole[1:])[-scored:].all())


def mean_and_error(values):
    mean = sum(values) / len(values)
    return mean, math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1) / len(values))


class Runs:
    def __init__(self, work, checkpoint):
        self.work, self.checkpoint = work, checkpoint

    def command(self, out, *more, ranks=1, tasks=("endings", "word")):
        self.work.ranks = ranks
        launch = self.work.command("none")
        launch = launch[:launch.index(self.work.nexus)]
        files = ",".join(str(self.work.folder / f"{task}.yaml") for task in tasks)
        return [*launch, self.work.nexus, "eval", self.checkpoint, "--tasks", files, "--data", self.work.folder, "--out",
                self.work.folder / out, *more]

    def run(self, out, *more, **options):
        done = subprocess.run(list(map(str, self.command(out, *more, **options))), env=self.work.environment(), capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"FAILED: {out} exited with {done.returncode}: {done.stderr}")
        folder = self.work.folder / out
        lines = {task: [json.loads(line) for line in (folder / f"{task}.jsonl").read_text().splitlines()] for task in ("endings", "word")}
        return json.loads((folder / "results.json").read_text()), lines, done.stdout

    def refuse(self, code, words, *more, **options):
        done = subprocess.run(list(map(str, self.command("refused", *more, **options))), env=self.work.environment(), capture_output=True, text=True)
        if done.returncode != code or any(word not in done.stderr for word in words) or (self.work.folder / "refused").exists():
            raise SystemExit(f"FAILED: {more} exited with {done.returncode} ({code}), expected {words}: {done.stderr}")


def difference(ours, theirs):
    return abs(ours - theirs) / max(abs(theirs), 1.0)


def compare_with_oracle(oracle, items, results, lines, wrong, shots=None):
    """Item by item, and the figures from the oracle's own scores. The largest difference."""
    worst, kinds = 0.0, set()
    figures = {}
    for task, rows in items.items():
        right = {"acc": [], "acc_norm": []}
        sums = []
        if len(lines[task]) != len(rows):
            wrong.append(f"{task}: {len(lines[task])} lines of {len(rows)} items")
        for number, ((name, choices, gold), line) in enumerate(zip(rows, lines[task])):
            scores = [oracle.score(context, continuation) for context, continuation, _ in choices]
            characters = [length for _, _, length in choices]
            expected = {"id": name, "tokens": [s[1] for s in scores], "characters": characters}
            if shots:
                expected["shots"] = shots[task][number]
            logs = [s[0] for s in scores]
            worst = max([worst, *(difference(a, b) for a, b in zip(line["loglikelihoods"], logs))])
            if task == "word":
                expected |= {"greedy": scores[0][2], "gold": choices[0][1][1:]}
                right["acc"].append(float(scores[0][2]))
                sums.append(logs[0])
            else:
                norm = [log / length for log, length in zip(logs, characters)]
                expected |= {"prediction": logs.index(max(logs)), "prediction_norm": norm.index(max(norm)), "gold": gold}
                right["acc"].append(float(expected["prediction"] == gold))
                right["acc_norm"].append(float(expected["prediction_norm"] == gold))
            told = {key: value for key, value in line.items() if key != "loglikelihoods"}
            kinds.add(expected.get("greedy"))
            if told != expected or len(line["loglikelihoods"]) != len(logs):
                wrong.append(f"{task} {name}: {line}, expected {expected}")
        figures[task] = {key: mean_and_error(values) for key, values in right.items() if values}
        if sums:
            mean, error = mean_and_error(sums)
            figures[task]["perplexity"] = (math.exp(-mean), math.exp(-mean) * error)
    for row in results["tasks"]:
        expected = figures.pop(row["task"])
        if row["metrics"].keys() != expected.keys() or row["items"] != len(items[row["task"]]):
            wrong.append(f"results of {row}")
        for key, (value, error) in expected.items():
            worst = max(worst, difference(row["metrics"][key]["value"], value), difference(row["metrics"][key]["se"], error))
    if not {True, False} <= kinds:
        wrong.append("all words are guessed, or none: nothing is shown")
    if figures:
        wrong.append(f"no results of {list(figures)}")
    if worst > F64:
        wrong.append(f"relative difference {worst:.3g} from the oracle, tolerance {F64:g}")
    return worst


def compare_runs(what, ours, theirs, bound, wrong):
    """Lines of two runs; the largest difference of a log-likelihood."""
    worst = 0.0
    for task in theirs:
        for a, b in zip(ours[task], theirs[task], strict=True):
            worst = max([worst, *(difference(x, y) for x, y in zip(a["loglikelihoods"], b["loglikelihoods"], strict=True))])
            if {**a, "loglikelihoods": 0} != {**b, "loglikelihoods": 0}:
                wrong.append(f"{what}, {task}: {a} is not {b}")
    if worst > bound:
        wrong.append(f"{what}: relative difference {worst:.3g}, tolerance {bound:g}")
    return worst


def check_without_run(runs, lines, wrong):
    """A checkpoint without its run folder says neither tokenizer nor context."""
    folder = runs.work.folder
    alone = Runs(runs.work, folder / "alone" / "checkpoints" / Path(runs.checkpoint).parent.name / Path(runs.checkpoint).name)
    shutil.copytree(runs.checkpoint, alone.checkpoint)
    told = ["--tokenizer", folder / "data.model"]
    alone.refuse(2, ["which tokenizer", "--tokenizer"])
    alone.refuse(2, ["how many tokens the model reads", "--context"], *told)
    _, same, _ = alone.run("alone-out", *told, "--context", CONTEXT)
    compare_runs("without the run", same, lines, F64, wrong)


def check_refusals(runs):
    folder = runs.work.folder
    runs.refuse(2, ["there is no such file"], tasks=["none"])
    (folder / "twice.yaml").write_text(WORD_TASK)
    runs.refuse(2, ["two tasks are called word"], tasks=["word", "twice"])
    (folder / "bad.yaml").write_text(WORD_TASK.replace("last_word}\"\nscore", "lst_word}\"\nscore"))
    runs.refuse(2, ["bad.yaml:4 key continuation", "did you mean last_word?"], tasks=["bad"])
    (folder / "bad.yaml").write_text(WORD_TASK.replace("task: word", "task: bad").replace("word.jsonl", "bad.jsonl"))
    runs.refuse(2, ["the items of task bad are not there", "--data"], tasks=["word", "bad"])
    (folder / "bad.jsonl").write_text('{"text": "one two"}\n{"txt": "one two"}\n')
    runs.refuse(3, ["the item has no field text", "bad.jsonl:2"], tasks=["word", "bad"])
    runs.refuse(2, ["raise --context"], "--context", "1")
    runs.refuse(2, ["trained with another tokenizer"], "--tokenizer", folder / "other.model")
    done = subprocess.run([runs.work.nexus, "eval", runs.checkpoint, "--tasks", "hellaswa", "--data", folder], capture_output=True, text=True)
    if done.returncode != 2 or "did you mean hellaswag?" not in done.stderr:
        raise SystemExit(f"FAILED: an unknown task: {done.stderr}")


def check_precision(work, name, items, oracle_too, wrong):
    """Trains the model in one precision and evaluates it in every way."""
    bound = {"f64": F64, "f32": F32}[name]
    c = COMMON | {"model": MODEL, "stages": STAGES}
    campaign = write_campaign(c, work, [(f"{work.folder}/data-train", 1.0)])
    work.ranks = 1
    work.settings = [f"precision.compute={name}", f"out={work.folder / name}", f"tokenizer.path={work.folder / 'data.model'}"]
    done = subprocess.run(list(map(str, work.command(campaign))), env=work.environment(), capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"FAILED: training: {done.stderr}")
    work.settings = []
    runs = Runs(work, work.newest(name))
    results, lines, table = runs.run(f"{name}-out")
    worst = {}
    if oracle_too:
        worst["oracle"] = compare_with_oracle(Oracle(work, runs.checkpoint, items), items, results, lines, wrong)
        for words in ("| endings | acc_norm |", "| word | perplexity |", "± "):
            if words not in table:
                wrong.append(f"'{words}' is not in the table:\n{table}")
        asked, shots = with_shots(items, 2, 9)
        long = 90
        results, solved, _ = runs.run(f"{name}-shots", "--shots", "2", "--seed", "9", "--context", long)
        worst["two examples"] = compare_with_oracle(Oracle(work, runs.checkpoint, asked, long), asked, results, solved, wrong, shots)
    for what, ranks, bound_here, more in (("one request a batch", 1, bound, ["--batch-tokens", "1"]),
                                          ("other batches", 1, bound, ["--batch-tokens", "200"]), ("dp 2", 2, 0.0, []),
                                          ("tp 2", 2, bound, ["--tp", "2"])):
        _, other, _ = runs.run(f"{name}-{what.replace(' ', '-')}", *more, ranks=ranks)
        worst[what] = compare_runs(f"{name} {what}", other, lines, bound_here, wrong)
    _, few, _ = runs.run(f"{name}-few", "--limit", "3")
    compare_runs(f"{name} --limit", few, {task: rows[:3] for task, rows in lines.items()}, bound, wrong)
    print(f"{name}, largest relative differences: " + ", ".join(f"{what} {value:.1e}" for what, value in worst.items()))
    return runs, lines


def main(nexus, folder):
    if (skipped := require_packages()) is not None:
        return skipped
    from harness import Workspace
    work, wrong = Workspace(nexus, folder), []
    items = write_tasks(work.folder)
    runs, lines = check_precision(work, "f64", items, True, wrong)
    check_without_run(runs, lines, wrong)
    check_precision(work, "f32", items, False, wrong)
    work.call("data", "build", work.folder / "text.txt", "--documents", "line", "--vocab", "290", "--out", work.folder / "other")
    check_refusals(runs)
    print("\n".join(wrong) or "all scores agree")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
