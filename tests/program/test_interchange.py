"""Folders of `nexus ckpt export`, read with nothing but NumPy: every tensor of model.safetensors is the checkpoint's, by name, shape
and bits; `nexus ckpt import` makes the same checkpoint of them, which a run starts from. And what is refused.

usage: test_interchange.py NEXUS FOLDER
"""
import json
import re
import shutil
import struct
import subprocess
import sys

from harness import fail
from interchange_models import MODELS, Trained

SKIPPED = 77

# By docs/interchange.md, what stands for our names in a Llama.
LLAMA = [
    (r"embed\.weight", "model.embed_tokens.weight"),
    (r"head\.weight", "lm_head.weight"),
    (r"norm\.weight", "model.norm.weight"),
    (r"layers\.(\d+)\.attn_norm\.weight", r"model.layers.\1.input_layernorm.weight"),
    (r"layers\.(\d+)\.mlp_norm\.weight", r"model.layers.\1.post_attention_layernorm.weight"),
    (r"layers\.(\d+)\.attn\.([qkvo])\.weight", r"model.layers.\1.self_attn.\2_proj.weight"),
    (r"layers\.(\d+)\.mlp\.w_(gate|up|down)", r"model.layers.\1.mlp.\2_proj.weight"),
]


def read_safetensors(path):
    """(header, tensors by name) as the format says, bf16 widened to f32."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header, elements = json.loads(data[8:8 + length]), data[8 + length:]
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        if entry["dtype"] == "BF16":
            values = (np.frombuffer(elements[begin:end], "<u2").astype("<u4") << 16).view("<f4")
        else:
            values = np.frombuffer(elements[begin:end], {"F32": "<f4"}[entry["dtype"]])
        tensors[name] = values.reshape(entry["shape"])
    return header, tensors


def to_bf16(values):
    """Rounded to nearest, ties to even."""
    bits = values.astype("<f4").view("<u4")
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16 << 16).view("<f4")


def llama_name(name):
    found = [re.sub(f"^{pattern}$", theirs, name) for pattern, theirs in LLAMA if re.match(f"^{pattern}$", name)]
    return found[0] if found else fail(f"no name in a Llama for {name}")


def check_weights(model, folder, masters, rounding, dtype):
    header, tensors = read_safetensors(folder / "model.safetensors")
    name_of = llama_name if model.startswith("llama") else lambda name: name
    expected = {name_of(name): rounding(values.astype("<f4")) for name, values in masters.items()}
    if set(expected) != set(tensors):
        fail(f"{model}: tensors {sorted(set(expected) ^ set(tensors))}")
    for name, values in expected.items():
        if header[name]["dtype"] != dtype or values.shape != tensors[name].shape or values.tobytes() != tensors[name].tobytes():
            fail(f"{model}: {name} is not what the checkpoint holds")


def check_folder(model, folder, state):
    """The files of a folder, and what config.json says of the model."""
    files = {"README.md", "config.json", "generation_config.json", "model.safetensors"}
    llama = model.startswith("llama")
    if {path.name for path in folder.iterdir()} != files | (set() if llama else {"modeling_nexus.py"}):
        fail(f"{model}: files {sorted(path.name for path in folder.iterdir())}")
    config, ours = json.loads((folder / "config.json").read_text()), state["model"]
    for theirs, key in (("hidden_size", "D"), ("num_hidden_layers", "L"), ("num_attention_heads", "H"), ("vocab_size", "V"),
                        ("num_key_value_heads", "kv_heads"), ("tie_word_embeddings", "tie")):
        if config[theirs] != ours[key]:
            fail(f"{model}: {theirs} is {config[theirs]}, {key} {ours[key]}")
    if config["max_position_embeddings"] != 32 or config["nexus_run"]["tokens"] != state["tokens"]:
        fail(f"{model}: context or tokens of {config}")
    if config["architectures"] != ["LlamaForCausalLM" if llama else "NexusForCausalLM"]:
        fail(f"{model}: {config['architectures']}")
    if config.get("norm_scales") != (None if llama else state.get("norm_scales")):
        fail(f"{model}: norm scales {config.get('norm_scales')}")


def check_import(work, model, folder, state, masters):
    """A round trip leaves weights and model as they were."""
    work.call("ckpt", "import", folder, "--out", f"{folder}-back")
    back, tensors = read_checkpoint(work.folder / f"{folder.name}-back" / "checkpoints" / "imported" / "0000000")
    for name, values in masters.items():
        if tensors[f"master/{name}"].tobytes() != values.astype("<f4").tobytes():
            fail(f"{model}: {name} has changed on its way")
        if tensors[f"moment1/{name}"].any() or tensors[f"moment2/{name}"].any():
            fail(f"{model}: moments of {name}")
    if len(tensors) != 3 * len(masters) or back["model"] != state["model"]:
        fail(f"{model}: the model has changed from {state['model']} to {back['model']}")
    if any(back.get(key) != state.get(key) for key in ("norm_scales", "tokens", "flops", "samples")):
        fail(f"{model}: the account has changed: {back}")
    work.call("ckpt", "verify", work.folder / f"{folder.name}-back" / "checkpoints" / "imported" / "0000000")


def expect_refused(work, code, words, *arguments):
    done = subprocess.run([work.nexus, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != code or any(word not in done.stderr for word in words):
        fail(f"nexus {arguments} exited with {done.returncode}, not {code} with {words}: {done.stderr}")


def check_heir(work):
    """A run starts from what was imported, at the loss at which the exported one ended."""
    heir = work.campaign("heir", steps_per_stage=4)
    imported = work.folder / "full-base-back" / "checkpoints" / "imported" / "0000000"
    heir.write_text(heir.read_text().replace("seed: 7", f"seed: 7\ninit_from: {imported}"))
    work.train_to_end(heir)
    start, end = work.evaluations("heir")[(0, 0)], work.evaluations("full")[(0, 4)]
    if start[1] != end[1]:
        fail(f"the heir starts at {start}, its ancestor ended at {end}")


def write_safetensors(path, tensors):
    header, at = {}, 0
    for name, values in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [at, at + values.nbytes]}
        at += values.nbytes
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(values.tobytes() for values in tensors.values()))


def check_shards(work, exported):
    """Weights in two files with an index are the same checkpoint."""
    folder = work.folder / "shards"
    shutil.copytree(exported, folder)
    _, tensors = read_safetensors(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = [f"model-{i}-of-2.safetensors" for i in (1, 2)]
    place = {name: names[i % 2] for i, name in enumerate(tensors)}
    for file in names:
        write_safetensors(folder / file, {name: values for name, values in tensors.items() if place[name] == file})
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": place}))
    work.call("ckpt", "import", folder, "--out", work.folder / "shards-back")
    imported = [work.folder / back / "checkpoints" / "imported" / "0000000" for back in ("shards-back", f"{exported.name}-back")]
    if json.loads(work.call("ckpt", "diff", *imported, "--json"))["differing"]:
        fail("two files are another checkpoint than one")
    refused = ("ckpt", "import", folder, "--out", work.folder / "x")
    write_safetensors(folder / names[1], tensors)
    expect_refused(work, 3, ["in another file, too", names[1]], *refused)
    index.write_text(json.dumps({"weight_map": {name: names[0] for name in tensors}}))
    expect_refused(work, 3, ["there is no tensor"], *refused)
    index.write_text(json.dumps({"weight_map": {"embed.weight": "../full-base/model.safetensors"}}))
    expect_refused(work, 3, ["is no name of a file"], *refused)


def check_refusals(work, exported):
    work.recipe, work.settings = {}, []
    masked = work.campaign("masked", steps_per_stage=4)
    masked.write_text(masked.read_text().replace("grow: {M: 64}", "grow: {M: 64, init: random_matched, mask: 4 steps}"))
    work.train_to_end(masked, "--until-stage", "wide")
    half = work.folder / "masked" / "checkpoints" / "wide" / "0000002"
    expect_refused(work, 2, ["not open yet: m = 0.5", "train the stage"], "ckpt", "export", half, "--out", work.folder / "half")
    if (work.folder / "half").exists() or list(work.folder.glob("half.tmp-*")):
        fail("a refused export left a folder")
    newest = work.newest("masked")
    expect_refused(work, 2, ["this exists already", str(exported)], "ckpt", "export", newest, "--out", exported)
    expect_refused(work, 2, ["onnx"], "ckpt", "export", newest, "--out", work.folder / "x", "--format", "onnx")
    expect_refused(work, 2, ["f16"], "ckpt", "export", newest, "--out", work.folder / "x", "--dtype", "f16")

    damaged = work.folder / "damaged"
    shutil.copytree(exported, damaged)
    weights = damaged / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    expect_refused(work, 3, ["model.safetensors", "data_offsets"], "ckpt", "import", damaged, "--out", work.folder / "x")
    weights.unlink()
    expect_refused(work, 2, ["neither model.safetensors nor its index"], "ckpt", "import", damaged, "--out", work.folder / "x")
    shutil.copy(exported / "model.safetensors", weights)
    config = json.loads((damaged / "config.json").read_text())
    config["nexus"]["M"] = 49
    (damaged / "config.json").write_text(json.dumps(config))
    expect_refused(work, 3, ["w_m is [48, 32] and, by config.json, [49, 32]"], "ckpt", "import", damaged, "--out", work.folder / "x")
    config["nexus"]["M"] = 48
    (damaged / "config.json").write_text(json.dumps(config))
    _, tensors = read_safetensors(weights)
    write_safetensors(weights, {**tensors, "more": np.zeros(2, "<f4")})
    expect_refused(work, 3, ['"more" has no place'], "ckpt", "import", damaged, "--out", work.folder / "x")
    write_safetensors(weights, {**tensors, "norm.weight": np.full(32, np.inf, "<f4")})
    expect_refused(work, 4, ["norm.weight is not finite at element 0"], "ckpt", "import", damaged, "--out", work.folder / "x")
    if (work.folder / "x").exists():
        fail("a refused import left a folder")


def check_tokenizer(work, checkpoint):
    """The one that is told, if it is the checkpoint's, or the run's own."""
    other = work.folder / "other.model"
    work.call("data", "build", work.folder / "text.txt", "--documents", "file", "--vocab", "290", "--out", work.folder / "other")
    expect_refused(work, 3, ["not the tokenizer", str(other)], "ckpt", "export", checkpoint, "--out", work.folder / "x",
                   "--tokenizer", other)
    work.settings = [f"tokenizer.path={work.folder / 'data.model'}"]
    work.train_to_end(work.campaign("named", steps_per_stage=4))
    work.settings = []
    named = work.export(work.newest("named"), work.folder / "named-tokenizer")
    if (named / "tokenizer.model").read_bytes() != (work.folder / "data.model").read_bytes():
        fail("the run's tokenizer is not in the folder")
    folder = work.export(checkpoint, work.folder / "with-tokenizer", "--tokenizer", work.folder / "data.model")
    if (folder / "tokenizer.model").read_bytes() != (work.folder / "data.model").read_bytes():
        fail("tokenizer.model is not the tokenizer")
    config = json.loads((folder / "config.json").read_text())
    if (config["bos_token_id"], config["eos_token_id"]) != (1, 2):
        fail(f"ids of {config}")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    if (config["tokenizer_class"], config["bos_token"], config["add_prefix_space"]) != ("LlamaTokenizer", "<s>", False):
        fail(f"tokenizer_config.json is {config}")


def check_byte_level(work):
    """A tokenizer.json goes out and comes back as it is, and a run from the import asks for it."""
    checkpoint, path = work.train_byte_level()
    folder = work.export(checkpoint, work.folder / "byte-level-out")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    ids = json.loads((folder / "config.json").read_text())
    if (config["tokenizer_class"], config["bos_token"], config["eos_token"]) != ("PreTrainedTokenizerFast", "<|endoftext|>", "<|endoftext|>"):
        fail(f"tokenizer_config.json is {config}")
    if (ids["bos_token_id"], ids["eos_token_id"]) != (268, 268) or "`tokenizer.json`" not in (folder / "README.md").read_text():
        fail("the folder does not name its tokenizer")
    back = work.folder / "byte-level-back"
    for given in ("known", "unknown"):  # as the file says, or, where it does not, by the tokenizer beside it
        work.call("ckpt", "import", folder, "--out", back)
        state, _ = read_checkpoint(back / "checkpoints" / "imported" / "0000000")
        digest = json.loads((work.folder / "bytes-train.json").read_text())["tokenizer_digest"]
        if state["data"]["tokenizer"] != digest:
            fail(f"{given}: the imported checkpoint says {state['data']}")
        for copy in (folder, back):
            if (copy / "tokenizer.json").read_bytes() != path.read_bytes():
                fail(f"{given}: tokenizer.json of {copy} is not the tokenizer")
        shutil.rmtree(back)
        config = json.loads((folder / "config.json").read_text())
        config.pop("nexus_run", None)
        (folder / "config.json").write_text(json.dumps(config))


def main(nexus, folder):
    work = Trained(nexus, folder)
    for model in MODELS:
        for stage, checkpoint in work.train_model(model):
            state, tensors = read_checkpoint(checkpoint)
            masters = {name[len("master/"):]: values for name, values in tensors.items() if name.startswith("master/")}
            exported = work.export(checkpoint, work.folder / f"{model}-{stage}")
            check_weights(model, exported, masters, lambda values: values, "F32")
            check_folder(model, exported, state)
            check_import(work, model, exported, state, masters)
            half = work.export(checkpoint, work.folder / f"{model}-{stage}-bf16", "--dtype", "bf16")
            check_weights(model, half, masters, to_bf16, "BF16")
    work.recipe, work.settings = {}, []
    check_heir(work)
    check_tokenizer(work, work.newest("full"))
    check_byte_level(work)
    check_shards(work, work.folder / "full-base")
    check_refusals(work, work.folder / "full-base")
    print(f"{len(MODELS)} models, before and after growth: out and back to the bit")
    return 0


if __name__ == "__main__":
    try:
        import numpy as np
        from checkpoint import read_checkpoint
    except ImportError as missing:
        print(f"SKIPPED: {sys.executable} has no {missing.name} (Debian: python3-numpy, python3-h5py)")
        sys.exit(SKIPPED)
    sys.exit(main(*sys.argv[1:]))
