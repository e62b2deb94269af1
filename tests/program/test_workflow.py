"""What a user does with finished runs: grow offline, start another run from a checkpoint, append a stage; and what is refused."""
import json
import subprocess
import sys
from pathlib import Path

from harness import Workspace, fail

nexus, folder = sys.argv[1], sys.argv[2]
work = Workspace(nexus, folder)


def expect_exit(code, words, *command):
    done = subprocess.run([nexus, *map(str, command)], capture_output=True, text=True, env=work.environment())
    last = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else ""
    if done.returncode != code or not last.startswith("nexus: error: ") or any(word not in last for word in words):
        fail(f"nexus {' '.join(map(str, command))}: exit {done.returncode} (expected {code}), last line {last!r}, "
             f"expected {words}")


def expect_success(campaign, *more):
    code, output = work.train(campaign, *more)
    if code != 0:
        fail(f"{campaign} exited with {code}:\n{output}")
    return output


def ledger(name, kind):
    rows = [json.loads(line) for line in (work.folder / name / "ledger.jsonl").read_text().splitlines()]
    return [row for row in rows if row["kind"] == kind]


base = work.campaign("base", steps_per_stage=4)
expect_success(base)
growths = ledger("base", "growth")
if [g["dead_new_params"] for g in growths] != [0, 0] or any(g["rel_dlogit"] > 2e-6 for g in growths):
    fail(f"the campaign's own growths are not lossless and alive: {growths}")
commits = ledger("base", "commit")
if commits[-1]["total_tokens"] != 3 * 4 * 256:
    fail(f"the ledger counts {commits[-1]['total_tokens']} tokens")
plan = json.loads(work.call("plan", base, "--json"))
if abs(plan["flops"] - commits[-1]["total_flops"]) > 1e-6 * plan["flops"]:
    fail(f"planned {plan['flops']} FLOPs, the ledger has {commits[-1]['total_flops']}")

# The past is frozen; the future is not.
text = base.read_text()
base.write_text(text.replace("peak: 2e-3, schedule: wsd", "peak: 1e-3, schedule: wsd"))
expect_exit(2, ["wide", "peak", "0.002", "0.001"], "train", base)
base.write_text(text + "  - {name: more, tokens: 1024, lr: {peak: 1e-3, schedule: constant, warmup: 0}}\n"
                if text.rstrip().endswith("}}") else text.replace(
                    "checkpoint:", "  - {name: more, tokens: 1024, lr: {peak: 1e-3, schedule: constant, warmup: 0}}\ncheckpoint:"))
expect_success(base)
if ledger("base", "commit")[-1]["stage"] != "more":
    fail("the appended stage was not trained")

# Offline growth, and a run that starts from its result.
newest = work.newest("base")
work.call("grow", newest, work.folder / "offline", "-s", "model.M=80", "-s", "model.A=112", "--check",
          work.folder / "data-valid", "--context", "32")
grown = work.folder / "offline" / "checkpoints" / "grown" / "0000000"
heir = work.campaign("heir", steps_per_stage=4)
heir.write_text(heir.read_text().replace("M: 48, A: 64", "M: 80, A: 112").replace("seed: 7", f"seed: 7\ninit_from: {grown}")
                .replace("grow: {M: 64}", "grow: {M: 96}").replace("grow: {A: 96}", "grow: {A: 128}"))
expect_success(heir)
account = ledger("heir", "commit")[-1]
if account["inherited_tokens"] != 4 * 4 * 256 or account["total_tokens"] != account["inherited_tokens"] + 3 * 4 * 256:
    fail(f"inherited compute is miscounted: {account}")
loss = work.losses("heir")
if loss[(0, 1)] > 0.95 * work.losses("base")[(0, 1)]:
    fail("the heir does not start from what its ancestor learned")

# A mask that is half open belongs to the function: who would not open it refuses such a checkpoint.
masked = work.campaign("masked", steps_per_stage=4)
masked.write_text(masked.read_text().replace("grow: {M: 64}", "grow: {M: 64, init: random_matched, mask: 4 steps}"))
expect_success(masked, "--until-stage", "wide")
half, whole = (work.folder / "masked" / "checkpoints" / "wide" / f"{step:07d}" for step in (2, 4))
state = json.loads((half / "state.json").read_text())
if (state["version"], state["growth_masks"]) != (3, {"M": {"begin": 48, "m": 0.5}}):
    fail(f"the state of a mask that is half open: {state}")
state = json.loads((whole / "state.json").read_text())
if state["version"] != 1 or "growth_masks" in state:
    fail(f"the state of a mask that is open: {state}")
expect_exit(2, ["not open yet: m = 0.5", str(half)], "grow", half, work.folder / "early", "-s", "model.M=80")
early = work.campaign("early", steps_per_stage=4)
early.write_text(early.read_text().replace("seed: 7", f"seed: 7\ninit_from: {half}").replace("M: 48,", "M: 64,")
                 .replace("grow: {M: 64}", "grow: {M: 80}"))
expect_exit(2, ["not open yet: m = 0.5", str(half)], "train", early)
expect_success(masked)

# Dead growth is offered, and refused unless it is asked for; lossy growth likewise.
expect_exit(2, ["zero for ever", "zero_rows"], "grow", newest, work.folder / "dead", "-s", "model.M=80", "--init", "zero_all")
expect_exit(2, ["cannot be lossless"], "grow", newest, work.folder / "lossy", "-s", "model.M=80", "--init", "random")
output = work.call("grow", newest, work.folder / "dead", "-s", "model.M=80", "--init", "zero_all", "--allow-dead", "--check",
                   work.folder / "data-valid", "--context", "32")
if "dead_new_params 0 of" in output or "relative 0.0e+00" not in output:
    fail(f"zero_all should be lossless and dead: {output}")
expect_exit(2, ["shrink", "M"], "grow", newest, work.folder / "small", "-s", "model.M=32")

# Damage: a flipped bit is refused by name, `auto` falls back and the run ends with the same weights.
work.call("ckpt", "verify", newest)
victim = next(Path(work.newest("base")).glob("shard-*.h5"))
data = bytearray(victim.read_bytes())
data[len(data) // 2] ^= 4
victim.write_bytes(data)
expect_exit(3, ["do not verify", str(victim.parent)], "ckpt", "verify", victim.parent)
output = expect_success(base)
if "warning" not in output or "resume at step" not in output:
    fail(f"no warning about the damaged checkpoint:\n{output}")
report = json.loads(work.call("ckpt", "diff", work.newest("base"), work.newest("base"), "--json"))
if report["differing"]:
    fail("a checkpoint differs from itself")

# Training data that was built anew is noticed.
lines = (work.folder / "text.txt").read_text().splitlines()
(work.folder / "text.txt").write_text("\n".join(reversed(lines[:-100])) + "\n")
more = work.campaign("restarted", steps_per_stage=4)
expect_success(more)
work.call("data", "build", work.folder / "text.txt", "--documents", "file", "--tokenizer", work.folder / "data.model",
          "--valid-share", "0.1", "--out", work.folder / "data", "--force")
expect_exit(3, ["token files are not those", "--allow-schedule-change"], "train", more)
expect_success(more, "--allow-schedule-change", "data.train")

# Runs do not mix.
expect_exit(3, ["another run"], "train", base, "--resume", work.newest("heir"))
expect_exit(2, ["--resume is never"], "train", base, "--resume", "never")
expect_exit(2, ["built without CUDA"], "train", base, "--device", "cuda")
print("growth offline, init_from, appended stage, frozen past, fallback: as promised")
