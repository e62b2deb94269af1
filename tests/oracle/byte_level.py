"""Ids of byte-level BPE (tokenizer.json) against the tokenizers library, to the last one: many kinds of pre-tokenizer, added tokens and
normalizers over text of many scripts, white space, emoji and what is rare; then whole documents through `nexus data build`.

usage: byte_level.py DUMP_TOKENS NEXUS FOLDER TOKENIZERS
TOKENIZERS holds gpt-neox-20b-tokenizer.json, gpt2-encoder.json and gpt2-vocab.bpe; where it does not, those two are left out.
"""
import json
import random
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path

SKIPPED = 77
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
NESTED = r" ?[^(\s|[.,!?…。，、।۔،])]+"
# Letters with other letters' case, white space that is not ASCII, what only looks like white space, accents alone and in all orders.
POOLS = ["abcdefghijklmnop ETAOIN'.,!?0123456789", " \t\n\r\u00a0\u3000\u2009\x0b\x0c\u0085\u200b\u180e\u2028", "😀👍🏽\u200d👩❤\ufe0f🇺🇸🏴",
         "äöüßéèñçøåÀÉ\u0301\u0308\u0327\u0323ſKΩﬁǅ", "абвгд ҐІї", "日本語漢字かなカナ、。ー", "한국어각\u1100\u1161\u11a8", "हिन्दीक्षत्र", "العربية،؟١٢ עברית",
         "'sS'tT'rReE'vVeE'mM'lL'dD ", "_-/\\#@$%^&*()[]{}~`+=<|>", "12½²Ⅷ٣৪", "\x00\x01\x7f\ufffd\ufeff"]
TOKENS = ["<|endoftext|>", "<|begin_of_text|>", "<mask>", "foo bar", "wor", "  ", "é", " ", "x"]
PROSE = ["The cat's hat isn't what we'll wear, they've said; 1234567 times!\n\n  def f(x):\n\treturn x ** 2  # 3.14\n",
         "Übergrößen und Straßen, l’été à Noël. ", "Съешь же ещё этих мягких французских булок. ", "いろはにほへと、ちりぬるを。漢字かな交じり文。",
         "다람쥐 헌 쳇바퀴에 타고파. ", "जल में रहकर मगर से बैर। ", "نص حكيم له سر قاطع. ", "👩‍👩‍👧‍👦🇩🇪🏳️‍🌈👍🏽☃️ "]


def assigned(code):
    """Characters of the oldest tables that Python has: newer ones are of other classes in older libraries."""
    return unicodedata.ucd_3_2_0.category(chr(code)) not in ("Cn", "Cs", "Co")


def texts_of(rng):
    texts = ["", " ", "a", "e\u0301 \u0301a", "foo bar foobar", "swor wor _wor wor.", "  <|endoftext|>  <mask>  x<mask>y", "\r\n\r\n  x\t\ty \r z", "a" * 3000, " " * 3000,
             "\n" * 300 + " \t" * 40, "ab" * 2000, "日本" * 1500, "😀" * 500, "don't DON'T don'ſ"] + PROSE
    texts += ["".join(chr(c) for c in range(first, first + 128) if assigned(c)) for first in [*range(0, 0x3200, 128), *range(0xf900, 0x10000, 128)]]
    texts += ["".join(rng.choice(rng.choice(pools)) for _ in range(rng.randint(1, 120))) for pools in (rng.choices(POOLS, k=3) for _ in range(1200))]
    texts += [rng.choice(["", " "]).join(rng.choice(TOKENS) for _ in range(10)) for _ in range(200)]
    texts += ["".join(rng.choice(PROSE) for _ in range(20)) for _ in range(20)]
    return texts


def gpt2_model(folder, **options):
    merges = (folder / "gpt2-vocab.bpe").read_text(encoding="utf-8").split("\n")[1:]
    vocabulary = json.loads((folder / "gpt2-encoder.json").read_text(encoding="utf-8"))
    return models.BPE(vocab=vocabulary, merges=[tuple(line.split()) for line in merges if line], **options)


def trained_model(rng, alphabet=True, size=900, **options):
    trainer = trainers.BpeTrainer(vocab_size=size, show_progress=False, special_tokens=["<unk>"] if "unk_token" in options else [],
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if alphabet else [])
    tokenizer = Tokenizer(models.BPE(**options))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.train_from_iterator(rng.choices(PROSE, k=200) if alphabet else [PROSE[0]] * 40, trainer)
    return tokenizer.model


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior, invert)


def save(folder, name, model, parts, special=("<|endoftext|>",), added=(), normalizer=None, template=None):
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(parts) if len(parts) > 1 else parts[0]
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(special))
    tokenizer.add_tokens(list(added))
    if normalizer:
        tokenizer.normalizer = normalizer
    if template:
        tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(
            single=f"{template} $A", special_tokens=[(template, tokenizer.token_to_id(template))])])
    path = folder / f"{name}.json"
    tokenizer.save(str(path))
    return path


def make_tokenizers(folder, given, rng):
    gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False)
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    odd = [AddedToken("foo bar"), AddedToken("wor", single_word=True), AddedToken("<mask>", lstrip=True, rstrip=True, normalized=False),
           AddedToken("e\u0301", normalized=True)]
    runs = [AddedToken(" " * count, normalized=True) for count in (2, 3, 4, 8)]
    made = [
        save(folder, "gpt2-like", trained_model(rng), [gpt2]),
        save(folder, "neox-like", trained_model(rng), [gpt2], added=runs, normalizer=normalizers.NFC()),
        save(folder, "llama3-like", trained_model(rng, ignore_merges=True), [split(LLAMA3), plain],
             special=["<|begin_of_text|>", "<|end_of_text|>"], template="<|begin_of_text|>"),
        save(folder, "o200k-like", trained_model(rng), [split(O200K, "removed", True), plain]),
        save(folder, "digits", trained_model(rng), [pre_tokenizers.Digits(individual_digits=True), gpt2]),
        save(folder, "nested", trained_model(rng), [split(NESTED), pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False)],
             normalizer=normalizers.Sequence([normalizers.NFC()])),
        save(folder, "many-steps", trained_model(rng), [split(r"[\r\n]"), split(r"\s?[A-Za-zÀ-ÖØ-öø-ƺ]+"), split(r"\s?[!-/:-~]+"), split(r"\s+$"),
                                                        split(r"[一-龥가-힣]+"), pre_tokenizers.Digits(), plain]),
        save(folder, "words", trained_model(rng), [split(r"\w+|[\w\-]{2,}|\W\s?"), pre_tokenizers.Split("e", "removed"), gpt2]),
        save(folder, "prefix", trained_model(rng), [pre_tokenizers.ByteLevel(add_prefix_space=True)], added=odd, normalizer=normalizers.NFC()),
        save(folder, "dropping", trained_model(rng, alphabet=False, size=120), [gpt2]),
        save(folder, "unknown", trained_model(rng, alphabet=False, size=120, unk_token="<unk>"), [gpt2]),
        save(folder, "fused", trained_model(rng, alphabet=False, size=120, unk_token="<unk>", fuse_unk=True), [gpt2])]
    if not (given / "gpt2-vocab.bpe").exists():
        print(f"no files of real tokenizers in {given}: not compared")
        return made
    shutil.copy(given / "gpt-neox-20b-tokenizer.json", folder / "gpt-neox-20b.json")
    return made + [
        folder / "gpt-neox-20b.json", save(folder, "gpt2", gpt2_model(given), [gpt2]),
        save(folder, "gpt2-prefix", gpt2_model(given), [pre_tokenizers.ByteLevel(add_prefix_space=True)], added=odd),
        save(folder, "gpt2-llama3", gpt2_model(given, ignore_merges=True), [split(LLAMA3), plain], special=["<|begin_of_text|>"], template="<|begin_of_text|>")]


def check_ids(dump_tokens, path, texts):
    file = path.with_suffix(".texts")
    file.write_bytes(b"".join(b"%d\n%s" % (len(text.encode()), text.encode()) for text in texts))
    done = subprocess.run([dump_tokens, path, file], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        fail(f"{path.name}: {done.stderr}")
    library = Tokenizer.from_file(str(path))
    lines = done.stdout.splitlines()
    keeps = path.stem in ("gpt2", "gpt2-like", "llama3-like", "o200k-like", "digits", "many-steps", "gpt2-llama3")
    special = [token.content for token in library.get_added_tokens_decoder().values() if token.special]
    for text, line, encoded in zip(texts, lines, library.encode_batch(texts, add_special_tokens=False), strict=True):
        ids, decoded = line.split("|")
        if [int(token) for token in ids.split()] != encoded.ids:
            fail(f"{path.name}: {text[:200]!r} is {ids[:200]} and by the library {encoded.ids[:40]}")
        if keeps and decoded != "1" and not any(token in text for token in special):
            fail(f"{path.name}: {text[:200]!r} does not decode to itself")
    return len(texts)


def check_build(nexus, path, documents):
    """Long documents, which nexus encodes in pieces, have the ids of the whole text."""
    source, out = path.with_suffix(".jsonl"), path.with_suffix("")
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in documents))
    subprocess.run([nexus, "data", "build", source, "--documents", "jsonl", "--tokenizer", path, "--valid-share", "0", "--out", out], check=True,
                   capture_output=True)
    subprocess.run([nexus, "data", "verify", out], check=True, capture_output=True)
    library = Tokenizer.from_file(str(path))
    bos = library.token_to_id("<|begin_of_text|>") if "llama3" in path.stem else library.token_to_id("<|endoftext|>")
    expected = [token for text in documents for token in [bos] + library.encode(text, add_special_tokens=False).ids]
    found = samples.read_tokens(f"{out}-train").tolist()
    if found != expected:
        at = next((i for i, pair in enumerate(zip(found, expected)) if pair[0] != pair[1]), min(len(found), len(expected)))
        fail(f"{path.name}: token {at} of the build is another one: {found[at:at + 5]} and by the library {expected[at:at + 5]}, of "
             f"{len(found)} and {len(expected)}")
    if Path(f"{out}.tokenizer.json").read_bytes() != path.read_bytes():
        fail(f"{path.name}: the tokenizer beside the token files is not the one that was given")


def main(dump_tokens, nexus, folder, given):
    folder = Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rng = random.Random(5)
    texts = texts_of(rng)
    long_texts = ["".join(rng.choice(PROSE) for _ in range(300)), PROSE[3] * 400, "x " * 3000 + " " * 9000 + "y" * 9000, PROSE[7] * 300,
                  "".join(rng.choice(rng.choice(POOLS[:-1])) for _ in range(20000)), "\n\n\t " * 4000]
    for path in make_tokenizers(folder, Path(given), rng):
        count = check_ids(dump_tokens, path, texts)
        if path.stem not in ("dropping", "unknown", "fused"):  # of which verify says that text is lost
            check_build(nexus, path, long_texts)
        print(f"{path.stem}: {count} texts have the library's ids")


if __name__ == "__main__":
    try:
        from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
        import samples
    except ImportError as error:
        print(f"skipped: {error}")
        sys.exit(SKIPPED)
    from harness import fail
    main(*sys.argv[1:])
