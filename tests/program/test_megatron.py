"""Token files and Megatron: its own reader (megatron-core, indexed_dataset) takes what nexus writes, and nexus what its builder writes,
of every type, with and without modes.

usage: test_megatron.py NEXUS FOLDER
"""
import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

from harness import fail

SKIPPED = 77


def call(nexus, *arguments, code=0):
    done = subprocess.run([nexus, *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode != code:
        fail(f"nexus {' '.join(map(str, arguments))} exited with {done.returncode}: {done.stderr}")
    return done.stdout + done.stderr


def documents_of(prefix, modes=False):
    """[[(ids, mode) of a sequence] of a document], as Megatron reads them."""
    data = indexed_dataset.IndexedDataset(str(prefix), multimodal=modes)
    borders = data.document_indices.tolist()
    sequences = [(data[i][0], data[i][1]) if modes else (data[i], 0) for i in range(len(data))]
    return [[(ids.tolist(), int(mode)) for ids, mode in sequences[begin:end]] for begin, end in zip(borders, borders[1:])]


def write(prefix, dtype, documents, modes=False):
    builder = indexed_dataset.IndexedDatasetBuilder(f"{prefix}.bin", dtype=dtype, multimodal=modes)
    for document in documents:
        for ids, mode in document:
            builder.add_item(torch.tensor(ids), mode)
        builder.end_document()
    builder.finalize(f"{prefix}.idx")


def random_documents(rng, largest, modes):
    return [[([rng.randint(0, largest) for _ in range(rng.randint(1, 40))], rng.randint(0, 3) if modes else 0) for _ in range(rng.randint(1, 4))]
            for _ in range(30)]


def check_theirs(nexus, folder):
    rng = random.Random(2)
    for dtype in (np.uint8, np.int8, np.int16, np.uint16, np.int32, np.int64):
        for modes in (False, True):
            largest = min(int(np.iinfo(dtype).max), 100000)
            documents = random_documents(rng, largest, modes)
            prefix = folder / f"{dtype.__name__}-{modes}"
            write(prefix, dtype, documents, modes)
            info = json.loads(call(nexus, "data", "info", prefix, "--json"))[0]
            expected = {"documents": len(documents), "sequences": sum(map(len, documents)), "type": dtype.__name__,
                        "tokens": sum(len(ids) for document in documents for ids, _ in document)}
            if any(info[key] != value for key, value in expected.items()) or ("modes" in info) != modes:
                fail(f"{prefix.name}: {info}, not {expected}")
            call(nexus, "data", "verify", prefix)
            for wider in ("int64", "") if largest > 255 else ("uint16", "int32", ""):
                out = folder / f"{prefix.name}-as-{wider or 'it-likes'}"
                call(nexus, "data", "convert", prefix, "--out", out, *(["--type", wider] if wider else []))
                if documents_of(out, modes) != documents:
                    fail(f"{out.name}: documents, sequences, ids or modes are not those of {prefix.name}")
    call(nexus, "data", "convert", folder / "uint8-True", folder / "int8-False", "--out", folder / "joined", "--type", "uint8")
    if documents_of(folder / "joined", True) != documents_of(folder / "uint8-True", True) + documents_of(folder / "int8-False"):
        fail("two files in one are not the documents of both")
    write(folder / "fractions", np.float32, [[([1.0, 2.0], 0)]])
    if "one of fractions, not of ids" not in call(nexus, "data", "info", folder / "fractions", code=3):
        fail("a file of fractions is read")


def check_ours(nexus, folder):
    texts = [f"document {i} of the many, which differ: {i * i}" for i in range(200)]
    (folder / "text.jsonl").write_text("".join(json.dumps({"meta": {"text": text}}) + "\n" for text in texts))
    call(nexus, "data", "build", folder / "text.jsonl", "--documents", "jsonl", "--field", "meta.text", "--vocab", 300, "--valid-share", 0,
         "--out", folder / "built")
    description = json.loads((folder / "built-train.json").read_text())
    documents = documents_of(folder / "built-train")
    if len(documents) != len(texts) or sum(len(ids) for [(ids, _)] in documents) != description["tokens"]:
        fail("Megatron counts other documents or tokens than nexus")
    if any(ids[0] != description["bos_id"] for [(ids, _)] in documents):
        fail("a document does not begin with BOS")


def main(nexus, folder):
    folder = Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    check_ours(nexus, folder)
    check_theirs(nexus, folder)
    print(f"megatron-core {megatron.core.__version__} and nexus read each other's files")


if __name__ == "__main__":
    try:
        import megatron.core
        import numpy as np
        import torch
        from megatron.core.datasets import indexed_dataset
    except ImportError as missing:
        print(f"SKIPPED: {sys.executable} has no {missing.name}; -DNEXUS_TRANSFORMERS_PYTHON=... names a Python with torch, megatron-core")
        sys.exit(SKIPPED)
    main(*sys.argv[1:])
