"""What a launch was told is compared with what lies there: tokenizer, vocabulary, token files, and what a run has read so far.

usage: test_provenance.py NEXUS FOLDER
"""
import json
import random
import shutil
import struct
import subprocess
import sys
from pathlib import Path

from harness import PATIENCE, Workspace, fail

nexus, folder = sys.argv[1:]
work = Workspace(nexus, folder)
count = 0


def run(*words):
    return subprocess.run([nexus, *map(str, words)], capture_output=True, text=True, env=work.environment(), timeout=PATIENCE)


def expect(codes, words, command, output=None):
    """`command` ends with one of `codes`, and says `words` on its last line of errors (or anywhere in `output`)."""
    global count
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, env=work.environment(), timeout=PATIENCE)
    text = done.stdout + done.stderr if output else (done.stderr.strip().splitlines() or [""])[-1]
    if done.returncode not in codes or any(word not in text for word in words):
        fail(f"{' '.join(map(str, command))}: exit {done.returncode}, expected {codes} and {words}:\n{done.stdout}{done.stderr}")
    count += 1
    return done.stdout + done.stderr


def settings(**values):
    return [word for key, value in values.items() for word in ("-s", f"{key.replace('__', '.')}={value}")]


def train(name, *more):
    return [nexus, "train", work.folder / f"{name}.yaml", *more]


def refused_unmade(name, words, *more):
    """Refused as configuration or data, before the run folder is made."""
    expect((2, 3), words, train(name, *more))
    if (work.folder / name).exists():
        fail(f"{name}: the run folder was made before the refusal")


def fixed_file(prefix, seed, ids=range(3, 300)):
    """Documents of one length, as other programs write them: the index says nothing of the tokens."""
    source, documents, length = random.Random(seed), 200, 33
    tokens = [source.choice(ids) for _ in range(documents * length)]
    prefix.with_suffix(".bin").write_bytes(struct.pack(f"<{len(tokens)}H", *tokens))
    prefix.with_suffix(".idx").write_bytes(
        b"MMIDIDX\0\0" + struct.pack("<QBQQ", 1, 8, documents, documents + 1) + struct.pack(f"<{documents}i", *[length] * documents)
        + struct.pack(f"<{documents}q", *[2 * length * i for i in range(documents)])
        + struct.pack(f"<{documents + 1}q", *range(documents + 1)))


def copy(source, target):
    for suffix in (".bin", ".idx", ".json"):
        if source.with_suffix(suffix).exists():
            shutil.copy(source.with_suffix(suffix), target.with_suffix(suffix))


# A second data set of the same vocabulary's size, by another tokenizer.
source = random.Random(2)
lexicon = ["".join(source.choice("aeioklmnprstu") for _ in range(6)) for _ in range(40)]
other_text = work.folder / "other.txt"
other_text.write_text("\n".join(" ".join(source.choice(lexicon) for _ in range(12)) for _ in range(1500)) + "\n")
work.call("data", "build", other_text, "--documents", "file", "--vocab", "300", "--valid-share", "0.1", "--out", work.folder / "other")
data, other = work.folder / "data", work.folder / "other"

# --- what does not belong together is found before anything is touched
work.campaign("wrong", steps_per_stage=4)
for model, words in ((work.folder / "nowhere.model", ["no tokenizer", "tokenizer.path"]), (f"{other}.model", ["another tokenizer"]),
                     (work.folder, ["not a regular file"]), (other_text, ["other.txt"])):
    refused_unmade("wrong", words, *settings(tokenizer__path=model))
refused_unmade("wrong", ["300 pieces", "model.V is 299"], *settings(model__V=299))
refused_unmade("wrong", ["300 pieces", "model.V is 299"], *settings(model__V=299, tokenizer__path=f"{data}.model"))
refused_unmade("wrong", ["another tokenizer", "data.valid"], *settings(data__valid=f"{other}-valid"))
work.ranks = 2
expect((2, 3), ["another tokenizer"], work.command(work.folder / "wrong.yaml", *settings(tokenizer__path=f"{other}.model")), True)
work.ranks = 1

# --- ids beyond V, and what is not as its description says: before the first step
fixed_file(work.folder / "fixed", 1)
for step, (prefix, words, extra) in enumerate((
        ("fixed", ["outside the vocabulary of model.V = 280", "data.train.0.path"], settings(model__V=280, data__valid="null")),
        ("mixed-train", ["the .bin is not the one"], []))):
    copy(data.with_name("data-train"), work.folder / "mixed-train")
    spoiled = bytearray((work.folder / "mixed-train.bin").read_bytes())
    spoiled[100:102], spoiled[102:104] = spoiled[102:104], spoiled[100:102]
    spoiled[100] ^= 1
    (work.folder / "mixed-train.bin").write_bytes(spoiled)
    work.campaign(f"late{step}", steps_per_stage=4)
    expect((3,), words, train(f"late{step}", *settings(data__train=f"[{{path: {work.folder / prefix}}}]"), *extra))
    if (work.folder / f"late{step}" / "metrics.jsonl").exists():
        fail(f"{prefix}: found after the first step")
(work.folder / "mixed-train.bin").write_bytes(spoiled[:-2])
expect((3,), ["bytes, but the index describes"], train("late1", *settings(data__train=f"[{{path: {work.folder}/mixed-train}}]")))

# --- a run goes on with the same content only, wherever it lies
text = work.campaign("whole").read_text().replace(f"path: {data}-train", f"path: {folder}/fixed").replace(f"{data}-valid", f"{folder}/held")
for name in ("whole", "run"):
    (work.folder / f"{name}.yaml").write_text(text.replace("whole", name))
fixed_file(work.folder / "held", 2)
expect((0,), [], train("whole"), True)
expect((0,), [], train("run", "--until-stage", "base"), True)
fixed_file(work.folder / "fixed", 3)
expect((3,), ["data.train.0.path", "other tokens", "--allow-schedule-change data.train"], train("run"))
fixed_file(work.folder / "fixed", 1)
fixed_file(work.folder / "held", 4)
expect((3,), ["data.valid", "would not compare", "--allow-schedule-change data.valid"], train("run"))
fixed_file(work.folder / "held", 2)
work.ranks = 2
fixed_file(work.folder / "fixed", 3)
expect((3,), ["other tokens"], work.command(work.folder / "run.yaml"), True)
fixed_file(work.folder / "fixed", 1)
work.ranks = 1
expect((0,), [], train("run", "--until-stage", "wide"), True)  # written anew, with the same content
(work.folder / "moved").mkdir()
for name in ("fixed", "held"):
    for suffix in ("bin", "idx"):
        (work.folder / f"{name}.{suffix}").rename(work.folder / "moved" / f"{name}.{suffix}")
(work.folder / "moved" / "fixed.digest").mkdir()  # where no digest can be kept, as in a folder that is read-only
moved = settings(data__train=f"[{{path: {folder}/moved/fixed}}]", data__valid=f"{folder}/moved/held")
expect((0,), ["cannot be kept beside it"], train("run", *moved), True)
work.require_equal("whole", "run")
record = json.loads((work.folder / "run" / "run.json").read_text())["data"]
if record["V"] != 300 or len(record["train"][0]["bin_digest"]) != 32 or record["valid"]["path"] != f"{folder}/moved/held":
    fail(f"run.json records {record}")
last = json.loads((work.folder / "run" / "eval.jsonl").read_text().splitlines()[-1])
if last["valid_digest"] != record["valid"]["bin_digest"] or last["context"] != 32:
    fail(f"the evaluation does not say what it is over: {last}")
expect((0,), ["allowed", "data.valid ("],
       train("run", *moved[:2], *settings(data__valid=f"{data}-valid"), "--allow-schedule-change", "data.valid"), True)

for key in ("data.train", "data.valid", "tokenizer.path"):
    expect((0,), [f"--allow-schedule-change {key} | it has not changed"],
           train("run", *moved, "--allow-schedule-change", key), True)

# --- the same bytes as ids of another type are other tokens, whatever their digest
def foreign(prefix, tokens, code, length):
    """An index over PREFIX.bin as another program writes it: documents of one length; 4 is int32, 8 uint16."""
    size, documents = {4: 4, 8: 2}[code], tokens // length
    prefix.with_suffix(".idx").write_bytes(
        b"MMIDIDX\0\0" + struct.pack("<QBQQ", 1, code, documents, documents + 1) + struct.pack(f"<{documents}i", *[length] * documents)
        + struct.pack(f"<{documents}q", *[size * length * i for i in range(documents)]) + struct.pack(f"<{documents + 1}q", *range(documents + 1)))


wide = work.folder / "wide"
wide.with_suffix(".bin").write_bytes(struct.pack("<6600i", *[3 + i * 7 % 290 for i in range(6600)]))
foreign(wide, 6600, 4, 33)
work.campaign("typed", steps_per_stage=4)
typed = settings(data__valid=wide)
expect((0,), [], train("typed", "--until-stage", "base", *typed), True)
foreign(wide, 13200, 8, 33)
expect((3,), ["data.valid", "other tokens"], train("typed", *typed))
expect((0,), ["allowed", "data.valid ("], train("typed", *typed, "--allow-schedule-change", "data.valid"), True)
rows = [json.loads(line) for line in (work.folder / "typed" / "eval.jsonl").read_text().splitlines()]
if {row["valid_type"] for row in rows if row["kind"] == "eval"} != {"int32", "uint16"}:
    fail(f"the rows do not say how the bytes are read: {rows}")
expect((0,), ["over other tokens"], [nexus, "report", work.folder / "typed", "--no-pictures", "--out", work.folder / "report"], True)
if "(other validation tokens)" not in (work.folder / "report" / "tables.md").read_text():
    fail("a table does not mark what is over other tokens")
(work.folder / "linked").symlink_to(work.folder / "typed")
same = [work.folder / "typed", work.folder / "report" / ".." / "typed", work.folder / "linked"]
expect((0,), ["| runs 1"], [nexus, "report", *same, "--no-pictures", "--out", work.folder / "report", "--label", f"{same[2]}=one"], True)

# --- a checkpoint is not continued on the data of another tokenizer
work.campaign("base", steps_per_stage=4)
expect((0,), [], train("base"), True)
newest = work.newest("base")
if json.loads(run("ckpt", "info", newest, "--json").stdout)["state"]["data"]["tokenizer"] == "":
    fail("the checkpoint does not know its tokenizer")
expect((2, 3), ["another tokenizer"], [nexus, "grow", newest, work.folder / "grown", "-s", "model.M=80", "--check", f"{other}-valid", "--context", "32"])
copy(data.with_name("data-valid"), work.folder / "swapped-valid")
spoiled = bytearray((work.folder / "swapped-valid.bin").read_bytes())
spoiled[100:102], spoiled[102:104] = spoiled[102:104], spoiled[100:102]
spoiled[100] ^= 1
(work.folder / "swapped-valid.bin").write_bytes(spoiled)
grow = [nexus, "grow", newest, work.folder / "grown", "-s", "model.M=80", "--context", "32", "--check"]
expect((3,), ["the .bin is not the one", "--check"], [*grow, work.folder / "swapped-valid"])
(work.folder / "swapped-valid.json").write_text("")
expect((3,), ["the description of a token file is empty"], [*grow, work.folder / "swapped-valid"])
expect((3,), ["the description of a token file is empty"], train("base", *settings(data__valid=work.folder / "swapped-valid")))
for width, words in (("n_qkv=64", ["nexusformer does not grow along n_qkv", "use M or A"]), ("M=1", ["M would shrink", "write at least"])):
    expect((2,), [*words, "-s model."], [nexus, "grow", newest, work.folder / "grown", "-s", f"model.{width}"])
if (work.folder / "grown").exists():
    fail("a growth that was refused has left a folder")
# Names that are one or two folders too high, or of nothing.
for place, words in ((Path(newest).parent, ["a stage's checkpoints", newest]), (work.folder / "base", ["a run folder, no checkpoint", newest]),
                     (work.folder / "nowhere", ["there is no such folder", "nexus ckpt ls"])):
    words = [str(word) for word in words]
    expect((3,), words, [nexus, "ckpt", "info", place])
    expect((3,), words, [nexus, "grow", place, work.folder / "grown", "-s", "model.M=80"])
    if place != work.folder / "base":
        expect((2, 3), words, train("wrong", "--dry-run", *settings(init_from=place)))
    if place.exists():
        expect((3,), words, train("base", "--resume", place))
heir = (work.folder / "base.yaml").read_text().replace(f"{folder}/base", f"{folder}/heir").replace(str(data), str(other))
for old, new in (("M: 48, A: 64", "M: 64, A: 96"), ("grow: {M: 64}, ", ""), ("grow: {A: 96}, ", ""), ("seed: 7", f"seed: 7\ninit_from: {newest}")):
    heir = heir.replace(old, new)
same_data = work.folder / "same_data.yaml"
same_data.write_text(heir.replace(str(other), str(data)).replace(f"{folder}/heir", f"{folder}/same_data"))
dry_run = [nexus, "train", same_data, "--dry-run"]
expect((2,), ["not done"], [*dry_run, *settings(init_from=work.folder / "base")])  # its last launch was refused
expect((0,), [], train("base"), True)  # now its folder stands for its last checkpoint
for command in ([nexus, "config", "check", same_data], dry_run, [*dry_run, *settings(init_from=work.folder / "base")]):
    if " init_from " not in expect((0,), [" | epochs "], command, True):
        fail("what the ancestor read of the same data is not counted")
(work.folder / "heir.yaml").write_text(heir)
if " init_from " in expect((0,), [" | epochs "], [nexus, "config", "check", work.folder / "heir.yaml"], True):
    fail("what the ancestor read of other data is counted")
expect((2, 3), ["another tokenizer", "--allow-schedule-change tokenizer.path"], train("heir"))

# --- the report sets nothing side by side that does not compare
def reported(name, *more):
    work.campaign(name, steps_per_stage=4)
    expect((0,), [], train(name, "--until-stage", "base", *settings(eval__every="1 steps"), *more), True)
    return work.folder / name


left = reported("left")
for name, words, more in (
        ("tokenizer", ["different tokenizers"], settings(data__train=f"[{{path: {other}-train}}]", data__valid=f"{other}-valid")),
        ("context", ["contexts of 32 tokens", "of 16"], settings(data__context=16)),
        ("windows", ["is evaluated on 512 tokens", "on 256"], settings(eval__max_tokens=256)),
        ("text", ["different validation tokens"], settings(data__valid=f"{data}-train"))):
    expect((0,), ["warning: ", "no saving is computed", *words],
           [nexus, "report", left, reported(name, *more), "--no-pictures", "--out", work.folder / "report"], True)
same = expect((0,), [], [nexus, "report", left, reported("same", *settings(seed=8)), "--no-pictures", "--out", work.folder / "report"], True)
if "no saving is computed" in same:
    fail(f"the same tokens do not compare:\n{same}")
one = [reported(f"one{seed}", *settings(seed=seed, eval__max_tokens=32)) for seed in (1, 2)]
expect((0,), ["| runs 2"], [nexus, "report", *one, "--no-pictures", "--out", work.folder / "report"], True)
lines = [line for line in (one[0] / "logs" / "nexus.log").read_text().splitlines() if " eval " in line]
tables = (work.folder / "report" / "tables.md").read_text()
if not lines or any(" se " in line for line in lines) or "% [" in tables:
    fail(f"one window has an error or an interval:\n{lines}\n{tables}")
if json.loads((one[0] / "eval.jsonl").read_text().splitlines()[-1])["loss_se"] is not None:
    fail("one window has a standard error")
print(f"{count} launches and reports as expected")
