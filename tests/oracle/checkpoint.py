"""An independent reader of checkpoints (h5py), written from docs/numerics.md. Every digest is compared."""
import json

import h5py
import numpy as np

from streams import digest


def read_box(file, name, shape, piece):
    """The values of one slice as [rows, columns], and where they lie in the tensor seen as a matrix."""
    columns = int(np.prod(shape[1:]))
    rows, first = piece["rows"], piece["begin_row"]
    begin, width = piece.get("begin_column", 0), piece.get("columns", columns)
    dataset = name
    if rows != shape[0] or width != columns:
        dataset += f"@{first}"
    if width != columns:
        dataset += f",{begin}"
    return file[dataset][()].reshape(rows, width), (slice(first, first + rows), slice(begin, begin + width))


def read_tensor(folder, entry):
    shape = entry["shape"]
    whole = np.full((shape[0], int(np.prod(shape[1:]))), np.nan, dtype={"f32": "<f4", "f64": "<f8"}[entry["dtype"]])
    for piece in entry["slices"]:
        with h5py.File(folder / piece["file"], "r") as file:
            values, place = read_box(file, entry["name"], shape, piece)
        if values.dtype != whole.dtype or digest(values.tobytes()) != piece["xxh3_128"]:
            raise ValueError(f"{entry['name']} in {piece['file']} is not what the manifest says")
        whole[place] = values
    return whole.reshape(shape)


def read_checkpoint(folder):
    """(state, tensors by name) of a checkpoint folder."""
    text = (folder / "MANIFEST.json").read_bytes()
    manifest = json.loads(text)
    if digest(text[:text.rindex(b",\n \"digest\"")]) != manifest["digest"]:
        raise ValueError("the manifest does not match its own digest")
    for file in manifest["files"]:
        data = (folder / file["name"]).read_bytes()
        if len(data) != file["size_bytes"] or digest(data) != file["xxh3_128"]:
            raise ValueError(f"{file['name']} does not match its digest")
    return json.loads((folder / "state.json").read_text()), {e["name"]: read_tensor(folder, e) for e in manifest["tensors"]}
