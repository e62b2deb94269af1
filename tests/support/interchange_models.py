"""Tiny trained models of every kind that `nexus ckpt export` tells apart, before and after growth."""
import json

from harness import RECIPES, Workspace

# (recipe of the campaign, settings over it).
MODELS = {
    "full": ("nexus", []),
    "full_tied": ("nexus", ["model.tie=true", "model.H=4", "model.kv_heads=2", "model.qk_norm=rms", "model.gelu=tanh",
                            "model.rotary_share=0.5"]),
    "full_none": ("nexus", ["model.norm=none", "model.rope_theta=500000", "precision.compute=f64"]),
    "qkv": ("nexus", ["model.variant=qkv", "model.init=fan_in"]),
    "qkv_gelu": ("nexus", ["model.variant=qkv", "model.mlp=gelu", "model.kv_heads=1"]),
    "scaled": ("growth", []),  # norm scales of their own once it has grown
    "tokenformer": ("tokenformer", []),
    "tokenformer_untied": ("tokenformer", ["model.tie=false", "model.kv_heads=1", "model.qk_norm=rms", "model.rotary_share=1"]),
    "llama": ("transformer", []),
    "llama_tied": ("transformer", ["model.tie=true", "model.H=4", "model.kv_heads=2", "model.rope_theta=500000"]),
    "transformer_gelu": ("transformer", ["model.mlp=gelu"]),
    "transformer_qk_norm": ("transformer", ["model.qk_norm=rms"]),
}


def byte_level_tokenizer():
    """A tokenizer.json of 269 tokens: all bytes, twelve merges, <|endoftext|>."""
    printing = [*range(0x21, 0x7f), *range(0xa1, 0xad), *range(0xae, 0x100)]
    tokens = [chr(byte) for byte in printing] + [chr(0x100 + i) for i in range(256 - len(printing))]
    merges = ["t h", "th e", "Ġ the", "i n", "a n", "an d", "Ġ and", "e r", "Ġ t", "l e", "o n", "Ġ h"]
    tokens += [merge.replace(" ", "") for merge in merges] + ["<|endoftext|>"]
    return {"version": "1.0", "truncation": None, "padding": None,
            "added_tokens": [{"id": 268, "content": "<|endoftext|>", "single_word": False, "lstrip": False, "rstrip": False,
                              "normalized": False, "special": True}],
            "normalizer": None, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
            "post_processor": None, "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
                      "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                      "vocab": {token: i for i, token in enumerate(tokens[:-1])}, "merges": merges}}


class Trained(Workspace):
    def train_model(self, name):
        """[(stage, checkpoint)] of the first and the last stage, which in models that grow lie before and after growth."""
        recipe, settings = MODELS[name]
        self.recipe, self.settings = RECIPES[recipe], settings
        self.train_to_end(self.campaign(name, steps_per_stage=4))
        checkpoints = self.folder / name / "checkpoints"
        return [(stage, checkpoints / stage / "0000004") for stage in ("base", "deep")]

    def train_byte_level(self):
        """The newest checkpoint of a run on text that a tokenizer.json has encoded, and this file."""
        path = self.folder / "bytes.json"
        path.write_text(json.dumps(byte_level_tokenizer()))
        self.call("data", "build", self.folder / "text.txt", "--documents", "file", "--tokenizer", path, "--valid-share", "0.1",
                  "--out", self.folder / "bytes")
        self.recipe, self.settings = {}, [f"tokenizer.path={self.folder / 'bytes.tokenizer.json'}"]
        campaign = self.campaign("byte-level", steps_per_stage=4)
        campaign.write_text(campaign.read_text().replace(str(self.folder / "data"), str(self.folder / "bytes")))
        self.train_to_end(campaign)
        self.settings = []
        return self.newest("byte-level"), path

    def export(self, checkpoint, folder, *more):
        self.call("ckpt", "export", checkpoint, "--format", "hf", "--out", folder, *more)
        return folder
