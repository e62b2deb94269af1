"""Training on the GPU is as good as on the CPU: after 200 steps on the same tokens, the mean validation loss of five seeds
on the GPU is no farther from the CPU's than the CPU's seeds are from each other.

usage: test_quality.py NEXUS FOLDER
"""
import statistics
import sys

from harness import Workspace, fail

CAMPAIGN = """\
name: quality
out: {folder}/{name}
seed: {seed}
model: {{arch: {arch}, D: 64, L: 2, H: 2, {widths}, V: 300}}
data: {{train: [{{path: {folder}/data-train}}], valid: {folder}/data-valid, context: 64}}
batch: {{global_tokens: 1024, micro: 16}}
precision: {{compute: {dtype}}}
stages:
  - {{name: base, tokens: 204800, lr: {{peak: 2e-3, schedule: cosine, warmup: 10 steps, min: 2e-4}}}}
checkpoint: {{every: never}}
"""
WIDTHS = {"nexusformer": "M: 96, A: 128, F: 128, norm: l2", "tokenformer": "n_qkv: 96, n_proj: 96, n_ffn: 256",
          "transformer": "F: 128"}
CASES = [("nexusformer", "f32"), ("nexusformer", "bf16"), ("tokenformer", "bf16"), ("transformer", "bf16")]
SEEDS = range(1, 6)


def final_loss(work, arch, seed, device, dtype):
    name = f"{arch}-{seed}-{device}-{dtype}"
    path = work.folder / f"{name}.yaml"
    path.write_text(CAMPAIGN.format(folder=work.folder, name=name, seed=seed, arch=arch, widths=WIDTHS[arch], dtype=dtype))
    work.device = device
    code, output = work.train(path)
    if code != 0:
        fail(f"{name} exited with {code}:\n{output}")
    return [loss for _, (event, loss) in sorted(work.evaluations(name).items()) if event == "end"][-1]


nexus, folder = sys.argv[1:]
work = Workspace(nexus, folder)
for arch, dtype in CASES:
    cpu, gpu = ([final_loss(work, arch, seed, device, dtype) for seed in SEEDS] for device in ("cpu", "cuda"))
    spread, distance = max(cpu) - min(cpu), abs(statistics.mean(gpu) - statistics.mean(cpu))
    print(f"{arch} {dtype}: CPU {[round(x, 4) for x in cpu]}, GPU {[round(x, 4) for x in gpu]}, "
          f"means differ by {distance:.4f}, seeds of the CPU by {spread:.4f}")
    # Were both samples of one distribution with deviation s, the means would differ by 0.63 s, and five seeds by 2.3 s.
    if not distance <= spread:
        fail(f"{arch} in {dtype}: the GPU's mean loss is {distance:.4f} off, seeds differ by {spread:.4f}")
