"""Tiny trained models of every kind that `nexus ckpt export` tells apart, before and after growth."""
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


class Trained(Workspace):
    def train_model(self, name):
        """[(stage, checkpoint)] of the first and the last stage, which in models that grow lie before and after growth."""
        recipe, settings = MODELS[name]
        self.recipe, self.settings = RECIPES[recipe], settings
        self.train_to_end(self.campaign(name, steps_per_stage=4))
        checkpoints = self.folder / name / "checkpoints"
        return [(stage, checkpoints / stage / "0000004") for stage in ("base", "deep")]

    def export(self, checkpoint, folder, *more):
        self.call("ckpt", "export", checkpoint, "--format", "hf", "--out", folder, *more)
        return folder
