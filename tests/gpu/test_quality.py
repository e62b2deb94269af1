"""Training on the GPU is as good as on the CPU: after 200 steps on the same tokens the validation losses of the GPU's runs
lie within the spread of three seeds of the CPU, seed by seed.

usage: test_quality.py NEXUS FOLDER
"""
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


def final_loss(work, arch, seed, device, dtype):
    name = f"{arch}-{seed}-{device}-{dtype}"
    path = work.folder / f"{name}.yaml"
    path.write_text(CAMPAIGN.format(folder=work.folder, name=name, seed=seed, arch=arch, widths=WIDTHS[arch], dtype=dtype))
    work.device = device
    code, output = work.train(path)
    if code != 0:
        fail(f"{name} exited with {code}:\n{output}")
    return [loss for (_, step), (event, loss) in sorted(work.evaluations(name).items()) if event == "end"][-1]


nexus, folder = sys.argv[1:]
work = Workspace(nexus, folder)
for arch in WIDTHS:
    cpu = [final_loss(work, arch, seed, "cpu", "f32") for seed in (1, 2, 3)]
    spread = max(cpu) - min(cpu)
    for dtype in ("f32", "bf16"):
        gpu = [final_loss(work, arch, seed, "cuda", dtype) for seed in (1, 2, 3)]
        worst = max(abs(g - c) for g, c in zip(gpu, cpu))
        print(f"{arch} {dtype}: CPU {[round(x, 4) for x in cpu]} (spread {spread:.4f}), GPU {[round(x, 4) for x in gpu]}, "
              f"largest difference {worst:.4f}")
        if not worst <= spread:
            fail(f"{arch} in {dtype} differs from the CPU by {worst:.4f}, more than seeds do: {spread:.4f}")
