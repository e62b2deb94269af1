"""Folders of `nexus ckpt export` in transformers: their logits are those of the oracle (tests/oracle, NumPy in f64) on the
checkpoint's weights, and the losses of validation windows those that nexus has recorded; generation with a cache, padding, bf16,
and the way back through transformers' own save_pretrained.

usage: test_transformers.py NEXUS FOLDER
"""
import json
import sys

from harness import fail
from interchange_models import MODELS, Trained

SKIPPED = 77
CONTEXT = 32
# f32 against f64: the unit is 6e-8, logits are of size 1. The largest difference seen is 3e-7.
LOGITS = 1e-5
# Our own code in f64, where a wrong epsilon shows: 8e-7 for that of LayerNorm. The largest difference seen is 8e-16.
EXACT = 1e-13
# Nexus's losses, f32 as well and written with seven digits, are about 5. The largest difference seen is 6e-7.
LOSSES = 1e-5


def load(folder, **more):
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True, **more)
    return model.eval()


def cache_name():
    fields = transformers.modeling_outputs.CausalLMOutputWithPast.__dataclass_fields__
    return "cache" if "cache" in fields else "past_key_values"


def end_evaluation(work, name, stage):
    rows = [json.loads(line) for line in (work.folder / name / "eval.jsonl").read_text().splitlines()]
    return [row for row in rows if row["kind"] == "eval" and row["stage"] == stage and row["event"] == "end"][-1]


def oracle_logits(state, tensors, tokens):
    gains = {width: s["gain"] * (1 + (s["growth"] - 1) * s["share"]) for width, s in state.get("norm_scales", {}).items()}
    weights = {name[len("master/"):]: Var(values.astype(np.float32).astype(np.float64))  # f64 ones are exported in f32
               for name, values in tensors.items() if name.startswith("master/")}
    config = {"qk_norm": "none", **state["model"]}
    return models.Model(config, weights, norm_gains=gains).logits(tokens).data


def check_logits(work, name, stage, checkpoint, folder):
    """Returns the largest differences of logits, of logits in f64, and of losses."""
    state, tensors = read_checkpoint(checkpoint)
    evaluation = end_evaluation(work, name, stage)
    windows = samples.Windows(work.folder / "data-valid", CONTEXT)
    count = len(evaluation["window_losses"])
    chosen = [windows.fetch(i * windows.count // count) for i in range(count)]
    tokens, targets = (np.stack(part) for part in zip(*chosen))
    model = load(folder)
    with torch.no_grad():
        logits = model(torch.tensor(tokens)).logits
    losses = torch.nn.functional.cross_entropy(logits.double().transpose(1, 2), torch.tensor(targets), reduction="none").mean(1)
    expected = oracle_logits(state, tensors, tokens)
    logit_gap = float(np.abs(logits.double().numpy() - expected).max())
    exact_gap = 0.0
    if model.config.model_type == "nexus":  # a Llama takes norms and angles in f32 whatever it is loaded as
        with torch.no_grad():
            exact_gap = float(np.abs(model.double()(torch.tensor(tokens)).logits.numpy() - expected).max())
    loss_gap = float(np.abs(losses.numpy() - np.array(evaluation["window_losses"])).max())
    if not logit_gap <= LOGITS:
        fail(f"{name} {stage}: logits differ by {logit_gap:.2e}")
    if not exact_gap <= EXACT:
        fail(f"{name} {stage}: logits in f64 differ by {exact_gap:.2e}")
    if not loss_gap <= LOSSES:
        fail(f"{name} {stage}: losses differ by {loss_gap:.2e}")
    return logit_gap, exact_gap, loss_gap


def check_generation(name, folder):
    """With the cache or without it the same tokens come; padding on the left changes nothing."""
    model, cache = load(folder), cache_name()
    prompt = torch.tensor([[5, 17, 40, 8, 99, 3], [7, 7, 150, 20, 6, 11]])
    options = {"max_new_tokens": 12, "do_sample": False, "pad_token_id": 0}
    mask = torch.ones_like(prompt)
    cached = model.generate(prompt, attention_mask=mask, use_cache=True, **options)
    plain = model.generate(prompt, attention_mask=mask, use_cache=False, **options)
    if not torch.equal(cached, plain):
        fail(f"{name}: the cache changes what is generated")
    with torch.no_grad():
        whole = model(prompt, use_cache=False).logits
        first = model(prompt[:, :4], use_cache=True)
        rest = model(prompt[:, 4:], use_cache=True, **{cache: first[cache]}).logits
        padded = torch.cat((torch.zeros(2, 3, dtype=torch.long), prompt), 1)
        padding = torch.cat((torch.zeros(2, 3, dtype=torch.long), mask), 1)
        shifted = model(padded, attention_mask=padding, position_ids=(padding.cumsum(1) - 1).clamp(min=0)).logits[:, 3:]
        loss = model(prompt, labels=prompt).loss
    for what, logits in (("the cache", torch.cat((first.logits, rest), 1)), ("padding", shifted)):
        if not float((logits - whole).abs().max()) <= LOGITS:
            fail(f"{name}: {what} changes logits by {float((logits - whole).abs().max()):.2e}")
    expected = torch.nn.functional.cross_entropy(whole[:, :-1].flatten(0, 1), prompt[:, 1:].flatten())
    if not abs(float(loss - expected)) <= LOSSES:
        fail(f"{name}: loss {float(loss)}, not {float(expected)}")


def check_bf16(work, name, checkpoint, folder):
    half = load(work.export(checkpoint, f"{folder}-bf16", "--dtype", "bf16"), torch_dtype="auto")
    if half.dtype != torch.bfloat16:
        fail(f"{name}: {half.dtype} of a bf16 folder")
    tokens = torch.arange(CONTEXT)[None]
    with torch.no_grad():
        gap = float((half(tokens).logits.float() - load(folder)(tokens).logits).abs().max())
    # bf16 has 8 bits: 4e-3 of logits of size 1, through two layers. The largest seen is 2e-2.
    if not gap <= 0.1:
        fail(f"{name}: bf16 changes logits by {gap:.2e}")


def check_way_back(work, name, checkpoint, folder):
    """What save_pretrained writes is the same model to nexus."""
    saved = f"{folder}-saved"
    load(folder).save_pretrained(saved)
    work.call("ckpt", "import", saved, "--out", f"{folder}-back")
    report = json.loads(work.call("ckpt", "diff", checkpoint, f"{folder}-back/checkpoints/imported/0000000", "--json"))
    weights = [tensor for tensor in report["tensors"] if tensor["name"].startswith("master/")]
    if weights and "f64" not in weights[0]["note"]:
        fail(f"{name}: {weights[0]} after transformers has saved it")


def check_tokenizer(work, checkpoint):
    """AutoTokenizer encodes as nexus did: the validation text has the ids of the token file."""
    try:
        import google.protobuf  # noqa: F401 - transformers reads SentencePiece models with it
    except ImportError:
        print("the tokenizer is not compared: this Python has no protobuf")
        return
    folder = work.export(checkpoint, work.folder / "with-tokenizer", "--tokenizer", work.folder / "data.model")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    ids = samples.read_tokens(work.folder / "data-valid")
    ids = ids[(ids != tokenizer.bos_token_id) & (ids != tokenizer.eos_token_id)]
    text = tokenizer.decode(ids.tolist())
    if len(text) < 1000 or text not in (work.folder / "text.txt").read_text():
        fail(f"the token file decodes to {text[:100]!r}")
    if tokenizer(text)["input_ids"] != ids.tolist():
        fail("transformers encodes the validation text otherwise")


def check_byte_level(work):
    """AutoTokenizer reads a tokenizer.json of ours: the token file's ids."""
    checkpoint, _ = work.train_byte_level()
    tokenizer = transformers.AutoTokenizer.from_pretrained(work.export(checkpoint, work.folder / "byte-level-out"), trust_remote_code=True)
    text = (work.folder / "text.txt").read_text()
    ids = [token for part in ("train", "valid") for token in samples.read_tokens(work.folder / f"bytes-{part}")]
    parts = tokenizer.decode(ids).split(tokenizer.bos_token)[1:]
    if "".join(parts) != text or [token for part in parts for token in [tokenizer.bos_token_id] + tokenizer(part)["input_ids"]] != ids:
        fail("transformers encodes the text of a tokenizer.json otherwise")


def check_foreign_llama(work):
    """A Llama that transformers has made, trained on by nexus: its first loss is that of transformers."""
    config = transformers.LlamaConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, vocab_size=300,
                                      num_key_value_heads=1, rms_norm_eps=1e-6, tie_word_embeddings=False)
    torch.manual_seed(3)
    model = transformers.LlamaForCausalLM(config).eval()
    folder = work.folder / "foreign"
    model.save_pretrained(folder)
    work.call("ckpt", "import", folder, "--out", work.folder / "foreign-imported")
    _, settings = MODELS["llama"]
    work.train_model("llama")  # sets the recipe
    work.settings = settings
    heir = work.campaign("foreign-heir", steps_per_stage=4)
    heir.write_text(heir.read_text().replace("H: 2,", "H: 2, kv_heads: 1,").replace(
        "seed: 7", f"seed: 7\ninit_from: {work.folder / 'foreign-imported' / 'checkpoints' / 'imported' / '0000000'}"))
    work.train_to_end(heir)
    windows = samples.Windows(work.folder / "data-valid", CONTEXT)
    row = [json.loads(line) for line in (work.folder / "foreign-heir" / "eval.jsonl").read_text().splitlines()][0]
    count = 512 // CONTEXT
    tokens, targets = (np.stack(part) for part in zip(*(windows.fetch(i * windows.count // count) for i in range(count))))
    with torch.no_grad():
        logits = model(torch.tensor(tokens)).logits.double()
    loss = float(torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.tensor(targets).flatten()))
    if row["event"] != "start" or not abs(row["loss"] - loss) <= LOSSES:
        fail(f"a foreign Llama starts at {row['loss']} in nexus and {loss} in transformers")


def main(nexus, folder):
    work = Trained(nexus, folder)
    worst = (0.0, 0.0, 0.0)
    for name in MODELS:
        for stage, checkpoint in work.train_model(name):
            exported = work.export(checkpoint, work.folder / f"{name}-{stage}")
            gaps = check_logits(work, name, stage, checkpoint, exported)
            print(f"{name} {stage}: logits within {gaps[0]:.1e} of the oracle, {gaps[1]:.1e} in f64, losses within {gaps[2]:.1e} of nexus")
            worst = tuple(map(max, worst, gaps))
        check_generation(name, exported)
        check_bf16(work, name, checkpoint, exported)
        check_way_back(work, name, checkpoint, exported)
    check_tokenizer(work, checkpoint)
    check_byte_level(work)
    check_foreign_llama(work)
    print(f"transformers {transformers.__version__}, torch {torch.__version__}: logits within {worst[0]:.1e}, {worst[1]:.1e} in f64, "
          f"losses within {worst[2]:.1e}")
    return 0


if __name__ == "__main__":
    try:
        import numpy as np
        import torch
        import transformers
        import models
        import samples
        from checkpoint import read_checkpoint
        from tape import Var
    except ImportError as missing:
        print(f"SKIPPED: {sys.executable} has no {missing.name}; -DNEXUS_TRANSFORMERS_PYTHON=... names a Python with torch, "
              "transformers, NumPy and h5py")
        sys.exit(SKIPPED)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    sys.exit(main(*sys.argv[1:]))
