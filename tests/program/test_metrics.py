"""What a killed and continued run has recorded, in every form that leaves nexus: event files (live and exported), CSV,
Prometheus, tables, curves and the live screen all say what metrics.jsonl and eval.jsonl say.

TensorBoard's own reader reads the event files too where this Python has the package `tensorboard`.
"""
import csv
import io
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys

from harness import PATIENCE, Workspace, fail, kill_session, wait_until

nexus, folder = sys.argv[1], sys.argv[2]
work = Workspace(nexus, folder)
work.settings = ["logging.tensorboard=true", "account.price_per_gpu_hour=2"]
campaign = work.campaign("run")
run = work.folder / "run"

hold = work.hold("run", 9)
process = work.start(campaign)
if not hold.wait(lambda: process.poll() is not None):
    fail(f"the run ended with {process.returncode} before its tenth step")
kill_session(process)
hold.release()
process.wait(timeout=PATIENCE)
work.variables = {}
work.train_to_end(campaign)


def expected():
    """{tag: {tokens: values as f32}} of the committed lineage; at a growth there are several evaluations of one place."""
    curves = {}

    def add(tag, tokens, value):
        curves.setdefault(tag, {}).setdefault(tokens, []).append(struct.unpack("f", struct.pack("f", value))[0])

    for row in work.steps("run").values():
        for name in ("loss", "lr", "grad_norm", "flops", "step_ms", "data_ms", "tok_per_s"):
            add(name, row["tokens"], row[name])
    for row in evaluations():
        add("eval/loss", row["tokens"], row["loss"])
        add("eval/ppl", row["tokens"], row["ppl"])
        if row["bits_per_byte"] is not None:
            add("eval/bits_per_byte", row["tokens"], row["bits_per_byte"])
    return curves


def evaluations():
    rows = []
    for line in (run / "eval.jsonl").read_text().splitlines():
        row = json.loads(line)
        key = (row["stage_index"], row["step"])
        if row["kind"] == "resume":
            rows = [old for old in rows if (old["stage_index"], old["step"]) <= key]
        elif row["kind"] == "eval":
            rows.append(row)
    return rows


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def fields(message):
    """(number, value) of every field of a protobuf message: int, bytes, or the raw bytes of a fixed-size number."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        key = varint()
        kind = key & 7
        size = varint() if kind in (0, 2) else {1: 8, 5: 4}[kind]
        if kind == 0:
            yield key >> 3, size
            continue
        yield key >> 3, message[at:at + size]
        at += size


def read_events(place):
    """As `expected`, by the rules of TensorBoard: files in the order of their names; a restart takes back what is at its step and beyond."""
    curves = {}
    for path in sorted(place.glob("*tfevents*")):
        data = path.read_bytes()
        at = 0
        while at < len(data):
            size, check = struct.unpack_from("<QI", data, at)
            event = data[at + 12:at + 12 + size]
            if check != crc32c(data[at:at + 8]) or struct.unpack_from("<I", data, at + 12 + size)[0] != crc32c(event):
                fail(f"{path}: a frame's sum is wrong at byte {at}")
            at += 16 + size
            step = 0
            for number, value in fields(event):
                if number == 2:
                    step = value
                elif number == 7 and dict(fields(value)).get(1) == 1:
                    curves = {tag: {k: v for k, v in points.items() if k < step} for tag, points in curves.items()}
                elif number == 5:
                    for _, entry in fields(value):
                        entry = dict(fields(entry))
                        curves.setdefault(entry[1].decode(), {}).setdefault(step, []).append(struct.unpack("<f", entry[2])[0])
    return curves


def require_curves(got, what):
    want = expected()
    if got != want:
        different = [tag for tag in sorted(set(got) | set(want)) if got.get(tag) != want.get(tag)]
        tag = different[0]
        fail(f"{what} differs from the records in {different}: {got.get(tag)} where {want.get(tag)} is recorded")


live = run / "tensorboard"
files = sorted(live.glob("*tfevents*"))
if len(files) != 2:
    fail(f"two launches have made {len(files)} event files")
first_steps = len(re.findall(rb"grad_norm", files[0].read_bytes()))
if first_steps + len(re.findall(rb"grad_norm", files[1].read_bytes())) <= len(work.steps("run")):
    fail("nothing was lost by the kill: it proves nothing")
require_curves(read_events(live), "RUN/tensorboard")
exported = work.folder / "exported"
work.call("metrics", "export", run, "--format", "tensorboard", "--out", exported)
require_curves(read_events(exported / "run"), "the export")

try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
except ImportError:
    print("TensorBoard's own reader did not read the files: no Python package tensorboard here")
else:
    for place in (live, exported / "run"):
        reader = EventAccumulator(str(place), size_guidance={"scalars": 0})
        reader.Reload()
        curves = {}
        for tag in reader.Tags()["scalars"]:
            for event in reader.Scalars(tag):
                curves.setdefault(tag, {}).setdefault(event.step, []).append(event.value)
        require_curves(curves, f"TensorBoard's reading of {place.name}")
    print("TensorBoard's own reader agrees")

# CSV: every record in full precision.
rows = list(csv.DictReader(io.StringIO(work.call("metrics", "export", run, "--format", "csv"))))
steps, found = work.steps("run"), [row for row in rows if row["kind"] == "step"]
if [float(row["loss"]) for row in found] != [row["loss"] for _, row in sorted(steps.items())]:
    fail("the losses of the CSV are not those of metrics.jsonl")
if [float(row["eval/loss"]) for row in rows if row["kind"] == "eval"] != [row["loss"] for row in evaluations()]:
    fail("the evaluations of the CSV are not those of eval.jsonl")

# Prometheus: one sample of a metric and its labels, the newest.
out = work.folder / "nexus.prom"
work.call("metrics", "export", run, "--format", "prometheus", "--out", out)
samples = {}
for line in out.read_text().splitlines():
    if line.startswith("#"):
        continue
    match = re.fullmatch(r"([a-zA-Z_][a-zA-Z0-9_]*)\{(.*)\} (\S+)", line)
    if not match or (match[1], match[2]) in samples:
        fail(f"no line of Prometheus's text format, or one that was there before: {line}")
    samples[match[1], match[2]] = float(match[3])
last = steps[max(steps)]
if samples['nexus_loss', 'run="run",stage="deep"'] != last["loss"] or samples["nexus_tokens", 'run="run"'] != last["tokens"]:
    fail(f"Prometheus is not told the newest step: {samples}")
if samples["nexus_running", 'run="run"'] != 0 or samples["nexus_spent_money", 'run="run"'] <= 0:
    fail(f"Prometheus is not told of state and cost: {samples}")

# For people.
table = work.call("metrics", "tail", run, "-n", "0")
if table.count("(evaluation)") != len(evaluations()) or len(table.splitlines()) != 1 + len(steps) + len(evaluations()):
    fail(f"the table does not have a line for each record:\n{table}")
followed = work.call("metrics", "tail", run, "-f", "-n", "3").splitlines()
if len(followed) != 5 or not followed[-1].startswith("done"):
    fail(f"following a run that has ended does not show its end and end: {followed}")
plot = work.call("metrics", "plot", run, "--value", "loss", "--x", "flops", "--width", "60", "--height", "10", "--log-y")
if len(plot.splitlines()) != 10 or not re.search("[\u2801-\u28ff]", plot):
    fail(f"no curve of ten lines:\n{plot}")
for arguments, code, words in (
        (["metrics", "plot", str(run), "--value", "los"], 2, "loss, lr, grad_norm"),
        (["metrics", "tail", str(work.folder)], 3, "no run folder"),
        (["metrics", "export", str(run), "--format", "tensorboard"], 2, "--out"),
        (["metrics", "export", str(run), str(run), "--format", "tensorboard", "--out", str(exported)], 2, "two runs are called run")):
    done = subprocess.run([nexus, *arguments], capture_output=True, text=True)
    if done.returncode != code or words not in done.stderr:
        fail(f"{arguments} ended with {done.returncode}: {done.stderr}")
once = work.call("top", run)
if "done" not in once or "100 %" not in once or "0 of 1 running" not in once:
    fail(f"`top` without a terminal:\n{once}")

# The live screen of a run that waits in the middle.
hold = work.hold("second", 8)
running = work.start(work.campaign("second"))
if not hold.wait(lambda: running.poll() is not None):
    fail("the second run ended early")
terminal, other_end = pty.openpty()
screen = subprocess.Popen([nexus, "top", str(run), str(work.folder / "second")], stdout=other_end, stdin=other_end,
                          stderr=subprocess.PIPE, env={**os.environ, "COLUMNS": "120"}, start_new_session=True)
os.close(other_end)
seen = b""


def shows_both():
    global seen
    while select.select([terminal], [], [], 0)[0]:
        seen += os.read(terminal, 65536)
    # Two whole frames, the second over the first.
    return seen.count(b"1 of 2 running") >= 2 or screen.poll() is not None


wait_until(shows_both, "two frames of `nexus top`")
if screen.poll() is not None:
    fail(f"`nexus top` ended with {screen.returncode}: {screen.stderr.read().decode()}")
text = seen.decode()
for part in ("wide 2/3", "\033[H", "second", "running"):
    if part not in text:
        fail(f"the screen does not show {part!r}: {text!r}")
screen.send_signal(signal.SIGINT)
screen.wait(timeout=PATIENCE)
kill_session(running)
running.wait(timeout=PATIENCE)
hold.release()
print(f"{len(steps)} steps and {len(evaluations())} evaluations are the same in every form")
