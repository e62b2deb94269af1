"""sample.py NEXUS FOLDER: nexus continues prompts, and the oracle does.

The oracle reads the weights from the checkpoint and computes every prefix anew, without a cache; in f64 the likeliest token is the
same for both. What is drawn at random is compared with itself: seeds, ranks, rules that leave one token.
"""
import re
import shutil
import subprocess
import sys
from pathlib import Path

from packages import require_packages
from tasks import Tokens
from train import CAMPAIGNS, COMMON, NEXUS, complete, write_campaign

CONTEXT = 30
MODELS = {
    "nexusformer": NEXUS | {"H": 4, "kv_heads": 2, "init": "fan_in", "qk_norm": "rms"},
    "tokenformer": CAMPAIGNS["tokenformer"]["model"],
    "transformer": CAMPAIGNS["transformer"]["model"],
}
STAGES = [{"name": "base", "steps": 150, "lr": {"peak": 5e-3, "schedule": "constant", "warmup": "2 steps"}}]
PROMPTS = ["the", "the model grows along two", "inner axes and keeps what it has"]
LINE = re.compile(r"sample (\d+) of (\d+) \| read (\d+) seconds [\d.]+ tok_per_s [\d.]+ \| wrote (\d+) seconds [\d.]+ tok_per_s "
                  r"[\d.]+ \| end (\w+)")


class Samples:
    def __init__(self, work, checkpoint):
        self.work, self.checkpoint = work, checkpoint

    def call(self, *more, ranks=1):
        self.work.ranks = ranks
        launch = self.work.command("none")
        command = [*launch[:launch.index(self.work.nexus)], self.work.nexus, "sample", self.checkpoint, *more]
        return subprocess.run(list(map(str, command)), env=self.work.environment(), capture_output=True, text=True)

    def run(self, *more, ranks=1):
        """What it prints, and the fields of its last line: prompts, tokens read and written, why it ended."""
        done = self.call(*more, ranks=ranks)
        found = LINE.findall(done.stderr)
        if done.returncode != 0 or not found:
            raise SystemExit(f"FAILED: {more} exited with {done.returncode}: {done.stderr}")
        return done.stdout, found[-1][1:]

    def refuse(self, code, words, *more, ranks=1):
        done = self.call(*more, ranks=ranks)
        if done.returncode != code or any(word not in done.stderr for word in words) or done.stdout:
            raise SystemExit(f"FAILED: {more} exited with {done.returncode} ({code}), expected {words}: {done.stderr}")


def train(work, name):
    c = COMMON | {"model": MODELS[name], "stages": STAGES}
    campaign = write_campaign(c, work, [(f"{work.folder}/sentence-train", 1.0)])
    work.ranks = 1
    work.settings = [f"out={work.folder / name}", f"tokenizer.path={work.folder / 'data.model'}"]
    done = subprocess.run(list(map(str, work.command(campaign))), env=work.environment(), capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"FAILED: training: {done.stderr}")
    work.settings = []
    return work.newest(name)


def greedy(model, ids, count):
    """The likeliest tokens behind ids, each prefix computed anew."""
    import numpy as np
    ids, prompt = list(ids), len(ids)
    while len(ids) < prompt + count:
        ids.append(int(model.logits(np.array([ids])).data.reshape(len(ids), -1)[-1].argmax()))
    return ids[prompt:]


def check_greedy(samples, tokens, name, wrong):
    """Ids against the oracle up to the end of the context, on one rank and on two; text against the same ids."""
    import models
    from checkpoint import read_checkpoint
    from tape import Var
    _, tensors = read_checkpoint(Path(samples.checkpoint))
    weights = {key[len("master/"):]: Var(value) for key, value in tensors.items() if key.startswith("master/")}
    model = models.Model(complete(MODELS[name]), weights)
    kinds = set()
    for prompt in PROMPTS:
        ids = [int(i) for i in tokens.of(prompt)]
        count = CONTEXT - len(ids) + 1  # the last one is not read
        expected = greedy(model, ids, count)
        told = ("--prompt-ids", ",".join(map(str, ids)), "--greedy", "--tokens", 100)
        for ranks in (1, 2):
            out, facts = samples.run(*told, "--tp", ranks, ranks=ranks)
            if out != " ".join(map(str, expected)) + "\n" or facts != ("1", str(len(ids)), str(count), "context"):
                wrong.append(f"{name}, tp {ranks}, {prompt!r}: {out.split()} {facts}, expected {expected}")
        short = 1 + next((i for i, token in enumerate(expected[:9]) if token in (1, 2)), min(9, count - 1))  # BOS, EOS end a text
        out, facts = samples.run("--prompt", prompt, "--greedy", "--tokens", short)
        ended = expected[short - 1] in (1, 2)
        text = out[:-1]
        if not text.startswith(prompt) or facts != ("1", str(len(ids)), str(short - ended), "document" if ended else "tokens"):
            wrong.append(f"{name}, {prompt!r}: {out!r} {facts}")
        if list(Tokens(samples.work, [text]).of(text)) != ids + expected[:short - ended]:
            wrong.append(f"{name}: {text!r} does not have the ids {ids} and {expected[:short]}")
        kinds |= set(expected)
    if len(kinds) < 5:
        wrong.append(f"{name} writes {kinds} only: little is shown")
    return len(kinds)


def check_random(samples, wrong):
    """What must be equal, and what must not."""
    def text(*more, ranks=1):
        return samples.run("--prompt", "the model", "--tokens", 12, *more, ranks=ranks)[0]
    likeliest = text("--greedy")
    for more in (["--temperature", 0], ["--top-k", 1], ["--top-p", 1e-9], ["--temperature", 1e-4]):
        if text(*more) != likeliest:
            wrong.append(f"{more} is not greedy")
    hot = ["--temperature", 10, "--top-k", 50, "--top-p", 0.95]
    first = text(*hot, "--seed", 1)
    if text(*hot, "--seed", 1) != first or text(*hot, "--seed", 1, "--tp", 2, ranks=2) != first:
        wrong.append("a seed does not repeat its text")
    if len({text(*hot, "--seed", seed) for seed in range(4)}) < 3:
        wrong.append("seeds make no difference")
    both, facts = samples.run("--prompt", "the model", "--prompt", "the model", "--tokens", 12, *hot, "--seed", 1)
    if facts[0] != "2" or not both.startswith(first) or both == first + first:
        wrong.append(f"two prompts: {both!r}, the first by itself: {first!r}")
    (samples.work.folder / "prompt.txt").write_text("the model\n")
    out, _ = samples.run("--prompt-file", samples.work.folder / "prompt.txt", "--tokens", 12, "--greedy")
    if out != likeliest:
        wrong.append(f"from a file: {out!r}, not {likeliest!r}")
    word = likeliest[len("the model"):].split()[1]
    out, facts = samples.run("--prompt", "the model", "--tokens", 12, "--greedy", "--stop", word, "--stop", "never")
    if facts[3] != "stop" or out != likeliest[:likeliest.index(word, len("the model"))] + "\n":
        wrong.append(f"stopped before {word!r}: {out!r} of {likeliest!r}")


def check_refusals(samples):
    work = samples.work
    samples.refuse(2, ["there is no token 300, the model has 300", "--prompt-ids"], "--prompt-ids", "1,300")
    samples.refuse(2, ["there is no token -1"], "--prompt-ids", "1,-1")
    samples.refuse(2, ["the prompt has no tokens", "--no-bos"], "--prompt", "", "--no-bos")
    samples.refuse(2, ["the model reads 2", "raise --context"], "--prompt", "the model grows", "--context", 2)
    samples.refuse(2, ["2 ranks were started", "--tp"], "--prompt", "the", ranks=2)
    samples.refuse(2, ["--prompt"])
    work.call("data", "build", work.folder / "text.txt", "--documents", "line", "--vocab", "290", "--out", work.folder / "other")
    samples.refuse(2, ["trained with another tokenizer"], "--prompt", "the", "--tokenizer", work.folder / "other.model")
    alone = Samples(work, work.folder / "alone" / "checkpoints" / Path(samples.checkpoint).parent.name / Path(samples.checkpoint).name)
    shutil.copytree(samples.checkpoint, alone.checkpoint)
    alone.refuse(2, ["which tokenizer", "--tokenizer"], "--prompt", "the")
    alone.refuse(2, ["how many tokens the model reads", "--context"], "--prompt-ids", "1,2")
    told = ("--prompt-ids", "1,5", "--greedy", "--tokens", 5)
    if alone.run(*told, "--context", CONTEXT) != samples.run(*told)[:1] + (("1", "2", "5", "tokens"),):
        raise SystemExit("FAILED: a checkpoint without its run says something else")


def main(nexus, folder):
    if (skipped := require_packages()) is not None:
        return skipped
    from harness import Workspace
    work, wrong = Workspace(nexus, folder), []
    tokens = Tokens(work, PROMPTS)
    sentence = work.folder / "sentence.txt"  # something to be learned, so that continuations are not one word again and again
    sentence.write_text("the model grows along two inner axes and keeps what it has learned so far\n" * 300)
    work.call("data", "build", sentence, "--documents", "file", "--tokenizer", work.folder / "data.model", "--valid-share", "0", "--out",
              work.folder / "sentence")
    for name in MODELS:
        samples = Samples(work, train(work, name))
        kinds = check_greedy(samples, tokens, name, wrong)
        print(f"{name}: {kinds} different tokens")
    check_random(samples, wrong)
    check_refusals(samples)
    print("\n".join(wrong) or "all texts agree")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
