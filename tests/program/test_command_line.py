"""What stands on the command line and in paths is read as it was meant, or refused: numbers of every command, ~ and $VARIABLES.

usage: test_command_line.py NEXUS FOLDER
"""
import os
import subprocess
import sys

from harness import PATIENCE, Workspace, fail

# No number of any kind; and what only some numbers may be.
NONSENSE = ["", "x", "nan", "0x10"]
NEGATIVE, NOT_WHOLE, ZERO = ["-4", "-1"], ["010", "1e3", "2.5", "99999999999999999999"], ["0"]
COUNT, COUNT_OR_NONE, REAL = NEGATIVE + NOT_WHOLE + ZERO, NEGATIVE + NOT_WHOLE, NEGATIVE + ZERO

# Command, option, what it refuses besides nonsense, and what it takes.
NUMBERS = [
    (["plan", "CAMPAIGN"], "--ranks", COUNT + ["4K", "1048577"], "2"),
    (["plan", "CAMPAIGN", "--cluster", "CLUSTER", "-s", "account.peak_tflops=1"], "--mfu", REAL + ["1.1"], "0.4"),
    (["plan", "CAMPAIGN", "--cluster", "CLUSTER"], "--tok-per-s", REAL, "4K"),
    (["plan", "CAMPAIGN", "--cluster", "CLUSTER", "--tok-per-s", "4K"], "--save-stop", NEGATIVE, "2s"),
    (["train", "CAMPAIGN", "--dry-run"], "--stop-after", NEGATIVE, "2h"),
    (["data", "build", "nothing", "--out", "x"], "--vocab", REAL + ["32k"], "32K"),
    (["data", "build", "nothing", "--out", "x"], "--workers", COUNT_OR_NONE, "0"),
    (["data", "build", "nothing", "--out", "x"], "--valid-share", NEGATIVE + ["0.6"], "0.1"),
    (["data", "sample", "nothing"], "-n", COUNT, "3"),
    (["data", "sample", "nothing"], "--context", COUNT, "16"),
    (["data", "sample", "nothing"], "--seed", COUNT_OR_NONE, "0"),
    (["ckpt", "prune", "nothing"], "--keep-last", COUNT, "1"),
    (["grow", "nothing", "x", "-s", "model.M=64"], "--context", COUNT, "16"),
    (["grow", "nothing", "x", "-s", "model.M=64"], "--column-std", REAL, "0.02"),
    (["grow", "nothing", "x", "-s", "model.M=64"], "--lr", REAL, "1e-3"),
    (["report", "nothing"], "--target-ppl", REAL + ["1"], "20"),
    (["report", "nothing"], "--target-loss", ["1e13"], "-0.5"),
    (["bench", "step", "nothing"], "--micro", COUNT + ["2,0"], "2,4"),
    (["bench", "step", "nothing"], "--steps", COUNT, "2"),
    (["bench", "step", "nothing"], "--warmup", COUNT_OR_NONE, "0"),
    (["doctor", "versions"], "--mib", COUNT, "1"),
    (["slurm", "render", "CAMPAIGN", "--seeds", "1,2"], "--throttle", COUNT, "2"),
    (["slurm", "render", "CAMPAIGN"], "--seeds", COUNT_OR_NONE + ["1,-2"], "1,2"),
    (["slurm", "job-end", "nothing"], "--code", COUNT_OR_NONE + ["256"], "0"),
    (["slurm", "job-end", "nothing", "--code", "0"], "--max-requeues", COUNT_OR_NONE, "0"),
    (["slurm", "simulate-preempt", "nothing"], "--grace", NEGATIVE, "0"),
    (["slurm", "simulate-preempt", "nothing"], "--timeout", NEGATIVE, "0.5"),
]


class CommandLine:
    def __init__(self, work):
        self.work, self.count = work, 0
        self.campaign = work.campaign("tiny")
        cluster = work.folder / "cluster.yaml"
        cluster.write_text("name: here\n")
        self.names = {"CAMPAIGN": str(self.campaign), "CLUSTER": str(cluster)}

    def call(self, *words, **variables):
        environment = {**self.work.environment(), **variables}
        environment = {name: value for name, value in environment.items() if value is not None}
        return subprocess.run([self.work.nexus, *(word if isinstance(word, bytes) else self.names.get(word, str(word)) for word in words)], capture_output=True,
                              text=True, cwd=self.work.folder, env=environment, timeout=PATIENCE)

    def refused(self, words, *needles, **variables):
        done = self.call(*words, **variables)
        lines = [line for line in done.stderr.splitlines() if line.startswith("nexus: error: ")]
        if done.returncode != 2 or len(lines) != 1:
            fail(f"{words} exited with {done.returncode} and said:\n{done.stdout}{done.stderr}")
        if missing := [needle for needle in needles if needle not in lines[0]]:
            fail(f"{words}: no {missing} in {lines[0]!r}")
        self.count += 1


def try_numbers(line):
    for command, option, bad, good in NUMBERS:
        for value in NONSENSE + bad:
            words = [*command, f"{option}={value}"] if option.startswith("--") else [*command, option, value]
            line.refused(words, option)
        done = line.call(*command, option, good)
        if option in done.stderr:
            fail(f"{command} {option} {good} is refused:\n{done.stderr}")
    if (line.work.folder / "runs").exists():
        fail("a command that was refused has made a folder")


def out_of(done):
    words = done.stdout.split(" | ")
    return next((word[4:] for word in words if word.startswith("out ")), f"no out in {done.stdout}{done.stderr}")


def try_paths(line):
    work = line.work
    variables = {"HOME": str(work.folder / "home"), "SCRATCH": str(work.folder / "scratch"), "EMPTY": "", "UNSET": None}
    for text, meant in (("~/x", "home/x"), ("$HOME/x", "home/x"), ("${SCRATCH}/%name", "scratch/tiny"),
                        ("$SCRATCH-2/a", "scratch-2/a"), ("~", "home")):
        plain = [["-s", f"out={text}"]] if text != "~" else []  # to YAML it is null: refused as empty
        for words in (*plain, ["-s", f'out="{text}"']):
            done = line.call("config", "check", "CAMPAIGN", *words, **variables)
            if out_of(done) != str(work.folder / meant):
                fail(f"{words} means {out_of(done)}")
    keys = ["out", "tokenizer.path", "data.valid", "init_from", "data.train.0.path"]
    for key in keys:
        for text, reason in (("~other/x", "~ stands for"), ("$UNSET/x", "UNSET is not set"), ("${EMPTY}/x", "EMPTY is empty"),
                             ("$(pwd)/x", "a $"), ("${HOME:-x}", "a $"), ("x$", "a $"), ("$1/x", "a $"), ("\"`pwd`/x\"", "a shell would read"), ("a/*", "a shell would read"),
                             ("a[0]/x", "a shell would read"), ("\"a\\\\b\"", "a shell would read"), ("\"a{b,c}\"", "a shell would read")):
            line.refused(["config", "check", "CAMPAIGN", "-s", f"{key}={text}"], key, reason, **variables)
        done = line.call("config", "show", "CAMPAIGN", "-s", f"{key}=$SCRATCH/x", **variables)
        if f": {work.folder}/scratch/x " not in done.stdout:
            fail(f"{key}=$SCRATCH/x is shown as\n{done.stdout}{done.stderr}")
    line.names["CLUSTER"] = str(work.folder / "there.yaml")
    (work.folder / "there.yaml").write_text("name: there\nnexus: $UNSET/nexus\n")
    line.refused(["plan", "CAMPAIGN", "--cluster", "CLUSTER"], "there.yaml:2", "UNSET is not set", **variables)
    # A shell does not look into --out=~/x; the run folder remembers what was meant.
    done = line.call("train", "CAMPAIGN", "--out=~/run", "--stop-after", "0s", **variables)
    resolved = work.folder / "home" / "run" / "config.resolved.yaml"
    if done.returncode != 75 or not resolved.exists():
        fail(f"--out=~/run: exit code {done.returncode}, no {resolved}:\n{done.stdout}{done.stderr}")
    done = line.call("config", "check", resolved, HOME="/elsewhere")
    if out_of(done) != str(work.folder / "home" / "run"):
        fail(f"the run folder's own configuration means {out_of(done)}")
    line.refused(["data", "build", "text.txt", "--out=$UNSET/x"], "--out", "UNSET is not set", **variables)
    (work.folder / "home").mkdir(exist_ok=True)
    os.symlink(work.folder / "data.model", work.folder / "home" / "v.model")
    done = line.call("data", "build", "text.txt", "--tokenizer=~/v.model", "--out=~/again", **variables)
    if done.returncode != 0 or not (work.folder / "home" / "again-train.idx").exists():
        fail(f"data build --out=~/again exited with {done.returncode}:\n{done.stderr}")
    # Every path that a command reads or writes; what lies there under the very name is taken as it stands.
    reads = (["ckpt", "ls", "PATH"], ["ckpt", "info", "PATH"], ["ckpt", "verify", "PATH"], ["ckpt", "diff", "x", "PATH"],
             ["ckpt", "prune", "PATH"], ["ckpt", "export", "PATH", "--out", "y"], ["ckpt", "export", "x", "--out", "y", "--tokenizer=PATH"],
             ["ckpt", "import", "PATH", "--out", "y"], ["data", "info", "PATH"], ["data", "verify", "PATH"], ["data", "sample", "PATH"],
             ["data", "verify", "x", "--against=PATH"], ["data", "verify", "x", "--tokenizer=PATH"],
             ["data", "build", "PATH", "--out", "y"], ["grow", "PATH", "y", "-s", "model.M=64"], ["report", "PATH"],
             ["grow", "x", "y", "-s", "model.M=64", "--check=PATH"], ["report", "x", "--baseline=PATH"],
             ["config", "check", "CAMPAIGN", "--config=PATH"], ["train", "PATH"], ["slurm", "status", "PATH"])
    writes = (["grow", "x", "PATH", "-s", "model.M=64"], ["report", "x", "--out=PATH"], ["data", "build", "x", "--out=PATH"],
              ["ckpt", "export", "x", "--out=PATH"], ["ckpt", "import", "x", "--out=PATH"])
    for words in (*reads, *writes):
        for text, reason in (("~other/x", "~ stands for"), ("$UNSET/x", "UNSET is not set"), ("$(pwd)/x", "a $")):
            line.refused([word.replace("PATH", text) for word in words], reason, **variables)
    done = line.call("grow", "nothing", b"a\xff", "-s", "model.M=64")
    if done.returncode != 2 or "not UTF-8" not in done.stderr:
        fail(f"grow takes a name that init_from could not: {done.stderr}")
    (work.folder / "odd").mkdir()
    (work.folder / "odd" / "$PRICE.txt").write_text((work.folder / "text.txt").read_text())
    done = line.call("data", "build", "odd/$PRICE.txt", "--vocab", "300", "--out", "odd/built", PRICE=None)
    if done.returncode != 0:
        fail(f"a file that lies there is not read: {done.stderr}")
    (work.folder / "odd" / "$PRICE.txt").unlink()
    if left := [path.name for path in work.folder.iterdir() if path.name[0] in "~$"]:
        fail(f"folders of literal names were made: {left}")
    for text, meant in (("5k", "5K"), ("1.5mi", "1.5Mi"), ("8ki", "8Ki"), ("1g", "1B")):
        line.refused(["config", "check", "CAMPAIGN", "-s", f"stages.0.tokens={text}"], f"{text} is written {meant}")
    line.refused(["config", "check", "CAMPAIGN", "-s", "eval.every=5k"], "5k is written 5K")
    line.refused(["config", "check", "CAMPAIGN", "-s", "stages.0.lr.warmup=5k tokens"], "5k is written 5K")


def main():
    nexus, folder = sys.argv[1:]
    line = CommandLine(Workspace(nexus, folder))
    try_numbers(line)
    try_paths(line)
    print(f"{line.count} numbers and paths refused, the others read as meant")


main()
