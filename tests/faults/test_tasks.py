"""Tasks inside a campaign change no bit of the training; one that is killed or stopped at any moment of an evaluation goes on with
nothing lost, owed or done twice, and has the same results as the undisturbed one, to the last item.

usage: test_tasks.py NEXUS FOLDER DPxTP
"""
import csv
import json
import random
import subprocess
import sys

from harness import ROUNDING, Workspace, fail, kill, ranks_of, wait_for_end

STEPS, EVERY = 10, 4  # of a stage; between evaluations of the tasks
LIMIT = 120  # items of a task: more than are scored between two looks at requests to stop
MOMENTS = [(stage, step) for stage in range(3) for step in (4, 8, 10)]
# Periods count tokens or steps of the stage: steps.
TASKS = {
    "ends": """\
task: ends
items: ends.jsonl
id: "{name}"
context: "{lead}"
choices: {each: ends}
gold: {field: right, is: index}
metrics: [acc_norm, acc]
shots: 1
""",
    "word": 'task: word\nitems: word.jsonl\ncontext: "{text|without_last_word}"\ncontinuation: "{text|last_word}"\nscore: greedy\n'}
WORDS = "the model grows along two inner axes and keeps what it has learned so far".split()


def phrase(source, low, high):
    return " ".join(source.choice(WORDS) for _ in range(source.randint(low, high)))


def write_tasks(folder):
    source = random.Random(4)
    ends = [{"name": f"i{i}", "lead": phrase(source, 1, 9), "ends": [phrase(source, 1, 5) for _ in range(3)],
             "right": source.randrange(3)} for i in range(150)]
    word = [{"text": phrase(source, 2, 30)} for _ in range(150)]
    for name, items in (("ends", ends), ("word", word)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
        (folder / f"{name}.yaml").write_text(TASKS[name])


class Runs:
    def __init__(self, work):
        self.work = work

    def campaign(self, name, with_tasks=True):
        path = self.work.campaign(name, STEPS, "3 steps")
        if with_tasks:
            folder = self.work.folder
            text = path.read_text().replace("eval: {max_tokens: 512}", f"eval: {{max_tokens: 512, tasks: [{folder}/ends.yaml, "
                                            f"valid, {folder}/word.yaml], tasks_every: {EVERY} steps, tasks_data: {folder}, tasks_limit: {LIMIT}}}\n"
                                            f"tokenizer: {{path: {folder}/data.model}}")
            path.write_text(text)
        return path

    def results(self, name):
        """Every file that the tasks have left, by its name in the run folder; without what names launch, run and place."""
        folder = self.work.folder / name / "evals"
        files = {}
        for path in sorted(folder.rglob("*")):
            if path.is_dir():
                continue
            text = path.read_text()
            if path.name == "results.json":
                facts = json.loads(text)
                if not facts.pop("checkpoint").endswith(f"/{facts['stage']}/{facts['step']:07}"):
                    fail(f"{path} names another checkpoint")
                facts.pop("run_id")
                text = json.dumps(facts, sort_keys=True)
            files[str(path.relative_to(folder))] = text
        return files

    def figures(self, name):
        """Of each evaluation that counts, by (stage, step): {figure: (value, standard error, items)}."""
        rows = {}
        for line in (self.work.folder / name / "eval.jsonl").read_text().splitlines():
            row = json.loads(line)
            key = (row["stage_index"], row["step"])
            if row["kind"] == "resume":
                rows = {k: v for k, v in rows.items() if k <= key}
            else:
                rows[key] = {f["name"]: (f["value"], f["se"], f["count"]) for f in row.get("figures", [])}
        return rows

    def require_whole(self, name, reference):
        self.work.require_equal(reference, name)
        self.work.require_same_records(reference, name)
        self.work.require_same((self.results, self.figures), reference, name)

    def disturb(self, name, parts, steps, how):
        """Holds the run as it opens files, one after another, after so many steps; ends it there, and starts it again."""
        campaign = self.campaign(name)
        process = None
        for part in parts:
            hold = self.work.hold(name, steps, part)
            process = process or self.work.start(campaign)
            if not hold.wait(lambda: process.poll() is not None):
                fail(f"{name} ended with {process.returncode} before it opened {part} after step {steps}")
        if how == "kill":
            kill(process, ranks_of(process)[0])
            hold.release()
            wait_for_end(process)
        else:
            (self.work.folder / name / "STOP").touch()
            hold.release()
            wait_for_end(process, "it was asked to stop")
            if process.returncode != 75:
                fail(f"{name} was asked to stop and exited with {process.returncode}")
        self.work.variables = {}
        self.work.train_to_end(campaign)


def check_undisturbed(runs):
    """Without tasks and with them; what is where."""
    work = runs.work
    work.train_to_end(runs.campaign("plain", with_tasks=False))
    output = work.train_to_end(runs.campaign("whole"))
    work.require_equal("plain", "whole")
    work.require_same((work.losses, work.counts, work.accounts), "plain", "whole")
    figures = runs.figures("whole")
    names = ["ends.acc_norm", "valid.token_perplexity", "word.acc"]
    if sorted(key for key, value in figures.items() if value) != MOMENTS or \
            any(sorted(figures[key]) != names for key in MOMENTS) or {figures[MOMENTS[0]][name][2] for name in names if "valid" not in name} != {LIMIT}:
        fail(f"the tasks were scored elsewhere: {figures}")
    if "| ends.acc_norm 0." not in output or "| valid.token_perplexity" not in output:
        fail(f"the log does not tell the figures:\n{output}")
    files = {f"{stage}-{step:07}/{name}" for stage in ("base", "wide", "deep") for step in (4, 8, 10)
             for name in ("results.json", "ends.jsonl", "valid.jsonl", "word.jsonl")}
    if set(runs.results("whole")) != files:
        fail(f"other files: {sorted(runs.results('whole'))}")


def check_against_eval(runs):
    """`nexus eval` says the same of the last checkpoint."""
    work = runs.work
    tasks = ",".join(["valid", *(str(work.folder / f"{task}.yaml") for task in TASKS)])
    work.call("eval", work.newest("whole"), "--tasks", tasks, "--data", work.folder, "--limit", str(LIMIT), "--out", work.folder / "by-eval")
    for task in ("ends", "word", "valid"):
        ours, theirs = ([json.loads(line) for line in path.read_text().splitlines()]
                        for path in (work.folder / "by-eval" / f"{task}.jsonl", work.folder / "whole" / "evals" / "deep-0000010" / f"{task}.jsonl"))
        for a, b in zip(ours, theirs, strict=True):
            if {**a, "loglikelihoods": 0} != {**b, "loglikelihoods": 0}:
                fail(f"nexus eval says {a}, the campaign {b}")
            for x, y in zip(a["loglikelihoods"], b["loglikelihoods"], strict=True):
                if abs(x - y) > ROUNDING["f32"] * max(1, abs(y)):  # other batches, and on grids other sums
                    fail(f"nexus eval says {a}, the campaign {b}")


def check_table(runs):
    """Tables of runs and of what `nexus eval` writes; what does not compare is not tested."""
    work = runs.work
    work.call("eval", work.newest("whole"), "--tasks", work.folder / "word.yaml", "--data", work.folder, "--limit", "20", "--out", work.folder / "few")
    folders = [work.folder / name for name in ("whole", "by-eval", "few")]
    text = work.call("report", "--table", "zero-shot", *folders, "--baseline", work.folder / "whole", "--out", work.folder / "table")
    words = ("| tiny (baseline) |", "| by-eval | ends acc_norm | +0.00 | [+0.00, +0.00] | 0 : 0 | 1.0000 | 1.0000 |",
             "| few | word acc | not tested: the number of items is another |", "few was not scored on it")
    for word in words:
        if word not in text:
            fail(f"'{word}' is not in the table:\n{text}")
    figures = runs.figures("whole")[MOMENTS[-1]]
    rows = list(csv.DictReader((work.folder / "table" / "zero-shot.csv").open()))
    told = {f"{row['task']}.{row['metric']}": float(row["value"]) for row in rows if row["scope"] == "score" and row["model"] == "tiny"}
    for name, (value, _, _) in figures.items():
        if abs(told[name] - value * (100 if ".acc" in name else 1)) > 1e-9 * abs(told[name]):
            fail(f"the table has {told[name]} of {name}, the record {value}")
    for form in ("md", "tex", "html"):
        if not (work.folder / "table" / f"zero-shot.{form}").stat().st_size:
            fail(f"zero-shot.{form} is empty")


def check_refusals(runs):
    work = runs.work
    good = runs.campaign("refused").read_text()

    def refuse(old, new, code, *words):
        if old not in good:
            fail(f"'{old}' is not in the campaign")
        path = work.folder / "refused.yaml"
        path.write_text(good.replace(old, new))
        done = subprocess.run(work.command(path, "--dry-run"), env=work.environment(), capture_output=True, text=True)
        if done.returncode != code or any(word not in done.stderr for word in words):
            fail(f"'{new}' instead of '{old}' exited with {done.returncode}, expected {code} and {words}: {done.stderr}")

    refuse(f"tokenizer: {{path: {work.folder}/data.model}}", "", 2, "eval.tasks needs tokenizer.path")
    refuse(f", tasks_data: {work.folder}", "", 2, "eval.tasks needs eval.tasks_data")
    refuse(f", valid: {work.folder}/data-valid", "", 2, "eval.tasks needs data.valid")
    refuse("valid, ", "valit, ", 2, "did you mean valid?", "eval.tasks")
    refuse(f"tasks: [{work.folder}/ends.yaml, valid, {work.folder}/word.yaml], ", "", 2, "there are no tasks", "eval.tasks_every")
    (work.folder / "gone.yaml").write_text(TASKS["word"].replace("word.jsonl", "gone.jsonl").replace("task: word", "task: gone"))
    refuse("/word.yaml", "/gone.yaml", 2, "the items of task gone are not there")


def main(nexus, folder, grid):
    work = Workspace(nexus, folder)
    runs = Runs(work)
    write_tasks(work.folder)
    work.use_grid(grid)
    check_undisturbed(runs)
    runs.require_whole("whole", "whole")
    # In the middle of a task's results, before the record (whose file the save before the tasks opens, too), after it; within a stage
    # and at its end.
    base, wide = "/evals/base-0000004/", "/evals/wide-0000010/"
    for number, (parts, steps) in enumerate((
            ([base + "valid.jsonl"], 4), ([base + "word.jsonl", "/eval.jsonl"], 4), ([base + "word.jsonl", "/eval.jsonl", "/metrics.jsonl"], 4),
            ([wide + "ends.jsonl"], 20), ([wide + "word.jsonl", "/eval.jsonl"], 20), ([wide + "word.jsonl", "/eval.jsonl", "/state.json"], 20))):
        runs.disturb(f"killed-{number}", parts, steps, "kill")
        runs.require_whole(f"killed-{number}", "whole")
    for number, (part, steps) in enumerate((("/evals/base-0000008/ends.jsonl", 8), ("/evals/base-0000010/ends.jsonl", 10))):
        runs.disturb(f"stopped-{number}", [part], steps, "stop")
        runs.require_whole(f"stopped-{number}", "whole")
    check_against_eval(runs)
    check_table(runs)
    check_refusals(runs)
    print("tasks change no bit of the training, and nothing is lost, owed or done twice")


if __name__ == "__main__":
    main(*sys.argv[1:])
