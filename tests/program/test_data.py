"""What a user does with data that is not as it should be: odd files, names and values, told clearly and never taken silently."""
import bz2
import gzip
import json
import lzma
import os
import random
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

from harness import PATIENCE, fail

nexus, folder = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
shutil.rmtree(folder, ignore_errors=True)
folder.mkdir(parents=True)
os.chdir(folder)
ENVIRONMENT = {**{k: v for k, v in os.environ.items() if not k.startswith("SLURM")}, "OMP_NUM_THREADS": "1"}

CAMPAIGN = """\
name: tiny
out: runs/%name
model: {arch: nexusformer, D: 32, L: 1, H: 2, M: 48, A: 64, F: 64, V: 500}
data: {train: [{path: TRAIN}], valid: VALID, context: 64}
batch: {global_tokens: 256, micro: 2}
stages:
  - {name: s0, tokens: 2560, lr: {peak: 1e-3, schedule: cosine, warmup: 2 steps}}
eval: {max_tokens: 1024}
"""


def call(*command, **environment):
    done = subprocess.run([nexus, *command], capture_output=True, env={**ENVIRONMENT, **environment}, timeout=PATIENCE)
    return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")


def expect(code, words, *command, **environment):
    """Exit code and words of the output; in any case no bug, and never the advice that makes garbage of anything."""
    got, output = call(*command, **environment)
    if got != code or "bug in nexus" in output or "LATIN1" in output or any(word not in output for word in words):
        fail(f"{command}: exit {got} (expected {code}), expected {words}:\n{output}")
    return output


def words(lines, seed, alphabet="abcdefghijklmnoprstuvw"):
    r = random.Random(seed)
    lexicon = ["".join(r.choice(alphabet) for _ in range(r.randint(2, 8))) for _ in range(400)]
    return "".join(" ".join(r.choice(lexicon) for _ in range(r.randint(8, 16))) + "\n" for _ in range(lines))


def campaign(name, train="d-train", valid="d-valid"):
    Path(name).write_text(CAMPAIGN.replace("TRAIN", train).replace("VALID", valid))
    return name


text = words(3000, 1)
Path("d.txt").write_text(text)
expect(0, [], "data", "build", "d.txt", "--documents", "line", "--vocab", "500", "--out", "d")

# Archives and other encodings are named for what they are, whatever the file is called.
Path("gzip.txt").write_bytes(gzip.compress(text.encode()))
Path("bzip2.txt").write_bytes(bz2.compress(text.encode()))
with zipfile.ZipFile("zip.xz", "w") as archive:
    archive.write("d.txt")
Path("utf16.txt").write_text(text, encoding="utf-16")
Path("utf16le.txt").write_text(text, encoding="utf-16-le")
Path("utf32.txt").write_text(text, encoding="utf-32")
russian = words(200, 2, "абвгдежзийклмнопрстуфхцч")
Path("utf16ru.txt").write_text(russian, encoding="utf-16-le")  # all bytes below 0x80: valid UTF-8
Path("joined.txt").write_bytes(text.encode() + text.encode("utf-16-be"))
Path("zeros.txt").write_bytes(text.encode() + bytes(4096) + text.encode())
Path("latin1.txt").write_bytes("caf\u00e9 au lait\n".encode("latin-1") * 100)
for name, told in [("gzip.txt", ["gzip", "zcat"]), ("bzip2.txt", ["bzip2", "bzcat"]), ("zip.xz", ["zip", "unzip"]),
                   ("utf16.txt", ["iconv -f UTF-16 "]), ("utf16le.txt", ["iconv -f UTF-16LE"]),
                   ("utf16ru.txt", ["iconv -f UTF-16LE"]), ("joined.txt", ["joined.txt:3001;", "joined"]),
                   ("zeros.txt", ["zeros.txt:3001;", "damaged"]), ("utf32.txt", ["iconv -f UTF-32 "]), ("latin1.txt", ["latin1.txt:1", "0xE9", "file -i"])]:
    expect(3, told, "data", "build", name, "--tokenizer", "d.model", "--out", "x")
Path("gzip.txt.xz").write_bytes(lzma.compress(gzip.compress(text.encode())))
expect(3, ["gzip"], "data", "build", "gzip.txt.xz", "--tokenizer", "d.model", "--out", "x")

# Text that a tokenizer loses is warned of, now and when the build is complete already; so is JSON taken as text.
Path("zh.ndjson").write_text("".join(json.dumps({"text": "some words of Latin"}) + "\n" for _ in range(100)))
output = expect(0, ["taken as plain text"], "data", "build", "zh.ndjson", "--documents", "line", "--vocab", "300", "--out", "nd")
if output.count("warning") != 1:
    fail("one warning is expected:\n" + output)
expect(0, ["already complete", "taken as plain text"], "data", "build", "zh.ndjson", "--documents", "line", "--vocab", "300",
       "--out", "nd")
os.rename("nd.model", "kept.model")
shutil.copy("d.model", "nd.model")
expect(3, ["not the tokenizer that made"], "data", "build", "zh.ndjson", "--documents", "line", "--vocab", "300", "--out", "nd")

# JSON lines: file, line, column and reason.
for number, (line, told) in enumerate([
        ('{"text": "half \\ud83d"}', ["surrogate", ":2:"]), ('{"text": "a", "x": NaN}', [":2:20", "NaN is no number"]),
        ('{"text": "cut o', [":2:16", "cut off"]), ('["a"]', [":2:1;", "an array"]), ('{"text": null}', [":2:10;", "is null"]),
        ('[{"text": "a"},', [":2:16;", "a JSON array begins", "jq -c"]),
        ('{"body": "a"}', ["'body'"]), ('{"text": "a", "text": "b"}', ["2 times"]), ('{"text": "a",}', ["comma"])]):
    Path(f"{number}.jsonl").write_text('{"text": "fine"}\n' + line + "\n")
    expect(3, told, "data", "build", f"{number}.jsonl", "--documents", "jsonl", "--vocab", "300", "--out", "x")

# One text without a single blank gives its share, and trains.
Path("han.txt").write_text("".join(random.Random(1).choices("天地玄黄宇宙洪荒日月盈昃辰宿列张", k=60000)))
expect(0, [], "data", "build", "han.txt", "--vocab", "400", "--out", "han")
valid = json.loads(Path("han-valid.json").read_text())["text_bytes"]
if abs(valid - 3600) > 4:
    fail(f"{valid} bytes of 180000 are held out, not 2 %")

# Names that are not UTF-8.
out = os.fsdecode(b"caf\xe9")
expect(2, ["not UTF-8"], "data", "build", "d.txt", "--tokenizer", "d.model", "--out", out)
for name in ["soft\u00adhyphen", "a\tb", "a\nb"]:
    for command in [["data", "build", "d.txt", "--tokenizer", "d.model"], ["train", campaign("a.yaml")]]:
        expect(2, ["name", "holds"], *command, "--out", name)
os.rename("d.txt", out + ".txt")
expect(0, [], "data", "build", out + ".txt", "--documents", "line", "--tokenizer", "d.model", "--out", "e")
expect(0, ["ok e-train", "ok e-valid"], "data", "verify", "e")
os.rename(out + ".txt", "d.txt")
file = campaign("a.yaml")
expect(2, ["not UTF-8"], "train", file, "--out", out)
expect(2, ["not UTF-8"], "train", file, "-s", "data.valid=" + out)
os.mkdir(out)
os.chdir(out)
for part in ["d-train", "d-valid"]:
    for suffix in [".bin", ".idx", ".json"]:
        os.symlink("../" + part + suffix, part + suffix)
campaign("a.yaml")
expect(0, ["done"], "train", "./a.yaml")
os.chdir("..")

# How often data is read, by check, plan and train.
expect(0, ["epochs s0 0."], "config", "check", file)
for command in [["config", "check", file], ["plan", file]]:
    expect(0, ["epochs s0 35", "warning", "35 times"], *command, "-s", "stages.0.tokens=4400K")
output = expect(0, ["epochs s0 0.", "done"], "train", file)
if "warning" in output:
    fail("a sound campaign is warned of:\n" + output)
expect(0, ["is not here"], "config", "check", campaign("absent.yaml", "nowhere-train"))

# Validation text that is trained on.
for suffix in [".bin", ".idx"]:
    shutil.copy("d-train" + suffix, "copy" + suffix)
expect(0, [], "data", "build", "d.txt", "--documents", "line", "--tokenizer", "d.model", "--valid-share", "0", "--out", "all")
for train, told in [("d-valid", "is the same file"), ("all-train", "was built from d.txt too")]:
    expect(0, ["warning: validation text is trained on", told], "train", campaign("b.yaml", train), "--out", "runs/" + train)
expect(0, ["warning: validation text is trained on", "same content"], "config", "check", campaign("b.yaml", "copy", "d-train"))
expect(0, ["0 of ", "are in both"], "data", "verify", "d-valid", "--against", "d-train")
expect(3, ["documents", "are in the second too"], "data", "verify", "d-valid", "--against", "all-train")
expect(3, ["the same file"], "data", "verify", "d-valid", "--against", "d-valid")
expect(0, [], "data", "verify", "d", "--against", "d")

Path("few.txt").write_text("a\nb\n")
expect(0, [], "data", "build", "few.txt", "--documents", "line", "--tokenizer", "d.model", "--valid-share", "0", "--out", "few")
expect(0, ["ok few", "(of at least 2 tokens)"], "data", "verify", "few", "--against", "d-train")
Path("nothing.bin").write_bytes(struct.pack("<H", 1))
Path("nothing.idx").write_bytes(b"MMIDIDX\0\0" + struct.pack("<QBQQ", 1, 8, 1, 2) + struct.pack("<iqqq", 1, 0, 0, 1))
expect(3, ["nothing could be compared"], "data", "verify", "nothing", "--against", "d-train")
# Documents that are all short, and in another order there.
lines = [f"{i} {j}\n" for i in range(9) for j in range(9)]
for name, part in [("short", lines), ("mixed", random.Random(1).sample(lines, 60))]:
    Path(name + ".txt").write_text("".join(part))
    expect(0, [], "data", "build", name + ".txt", "--documents", "line", "--tokenizer", "d.model", "--valid-share", "0", "--out",
           name)
expect(3, ["60 of 60 documents (of at least 2 tokens)"], "data", "verify", "mixed", "--against", "short")

# Renamed files, and a tokenizer that is said.
for part in ["-train", "-valid"]:
    for suffix in [".bin", ".idx", ".json"]:
        shutil.copy(f"d{part}{suffix}", f"web{part}{suffix}")
Path("there.model").write_bytes(Path("d.model").read_bytes())
Path("d.model").rename("kept.model")
expect(3, ["d.model", "--tokenizer"], "data", "verify", "web")
expect(0, ["ok web-train", "ok web-valid"], "data", "verify", "web", "--tokenizer", "there.model")
expect(0, ["--- sample 0"], "data", "sample", "web", "--tokenizer", "there.model")
Path("kept.model").rename("d.model")
expect(0, [], "data", "build", "d.txt", "--documents", "line", "--vocab", "400", "--valid-share", "0", "--out", "small")
expect(3, ["not the tokenizer that made the tokens", "small.model"], "data", "verify", "d-train", "--tokenizer", "small.model")

# What train refuses or says, the commands before it do too.
for model, told in [("nowhere.model", "there is no tokenizer"), ("small.model", "another tokenizer")]:
    for command in (["config", "check"], ["plan"]):
        expect(0, ["warning: training will not start", told], *command, campaign("b.yaml", "d-train"), "-s", f"tokenizer.path={model}")
    expect(2, [told], "train", "--dry-run", campaign("b.yaml", "d-train"), "-s", f"tokenizer.path={model}")
expect(0, ["epochs", "warning: validation text is trained on"], "train", "--dry-run", campaign("b.yaml", "d-valid"))
twice = "data.train=[{path: d-train}, {path: d-train}]"
expect(0, ["holds the same tokens as data.train.0.path"], "config", "check", campaign("b.yaml", "d-train"), "-s", twice)

# Files that Megatron wrote: no .json, and a mode for each sequence.
for modes in [b"", b"\0" * 2]:
    Path("m.bin").write_bytes(struct.pack("<200H", *range(200)))
    Path("m.idx").write_bytes(b"MMIDIDX\0\0" + struct.pack("<QBQQ", 1, 8, 2, 3) + struct.pack("<2i", 150, 50)
                              + struct.pack("<2q", 0, 300) + struct.pack("<3q", 0, 1, 2) + modes)
    expect(0, ["documents        2"], "data", "info", "m")
    expect(0, ["ok m", "no digests to compare"], "data", "verify", "m.idx")
    expect(0, ["inside the vocabulary"], "data", "verify", "m", "--tokenizer", "d.model")
    expect(0, ["--- sample 0"], "data", "sample", "m", "--tokenizer", "d.model")
Path("m.json").write_text("{}")
expect(0, ["m.json is no description by nexus"], "data", "verify", "m")
for rest in ("", "{", '{\n  "format": "nexus-t'):
    Path("m.json").write_text(rest)
    expect(3, ["m.json", "the description of a token file is "], "data", "verify", "m")
Path("m.json").unlink()
Path("m.bin").write_bytes(struct.pack("<200H", *range(400, 600)))
expect(3, ["outside the vocabulary of 500"], "data", "verify", "m", "--tokenizer", "d.model")

# Threads far above the cores, and values that are no number.
many = str(3 * len(os.sched_getaffinity(0)))
expect(0, ["warning", f"starts {many} threads on", "set OMP_NUM_THREADS="], "train", file, "--out", "runs/c",
       OMP_NUM_THREADS=many)
expect(0, ["warning: OMP_NUM_THREADS is 'abc'"], "train", file, "--out", "runs/d", OMP_NUM_THREADS="abc")
