"""Models that nexus has trained, for transformers: AutoModelForCausalLM.from_pretrained(FOLDER, trust_remote_code=True).

Written by `nexus ckpt export` beside the weights. `config.nexus` holds the model's keys as nexus names them, `config.norm_scales`
the scales of norm l2 that growth has moved; all that transformers itself wants to know is derived from them. Parameters have the
names, shapes and layouts of nexus' own checkpoints.
"""
import math

import torch
import torch.nn.functional as F
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.cache_utils import DynamicCache
from transformers.generation import GenerationMixin
from transformers.modeling_outputs import CausalLMOutputWithPast

# What transformers calls the keys and values of earlier tokens; versions differ.
CACHE = "cache" if "cache" in CausalLMOutputWithPast.__dataclass_fields__ else "past_key_values"

# What a configuration without arguments describes, which transformers makes for its own comparisons.
SMALLEST = {"arch": "transformer", "D": 2, "L": 1, "H": 1, "kv_heads": 1, "V": 1, "F": 1, "mlp": "gelu", "gelu": "erf", "tie": False,
            "rope_theta": 10000.0, "rotary_share": 1.0}


class NexusConfig(PretrainedConfig):
    model_type = "nexus"
    keys_to_ignore_at_inference = [CACHE]

    def __init__(self, nexus=None, norm_scales=None, **kwargs):
        self.nexus = dict(nexus or SMALLEST)
        self.norm_scales = dict(norm_scales or {})
        kwargs.update(vocab_size=self.nexus["V"], hidden_size=self.nexus["D"], num_hidden_layers=self.nexus["L"],
                      num_attention_heads=self.nexus["H"], num_key_value_heads=self.nexus["kv_heads"],
                      head_dim=self.nexus["D"] // self.nexus["H"], tie_word_embeddings=self.nexus["tie"])
        kwargs.setdefault("use_cache", True)
        for name in ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim",
                     "use_cache"):  # not every version of transformers takes these from its arguments
            setattr(self, name, kwargs.pop(name))
        super().__init__(**kwargs)

    def norm_gain(self, width):
        """c^2 / O of norm l2 over the channels of a width."""
        if width not in self.norm_scales:
            return 1.0
        scale = self.norm_scales[width]
        return scale["gain"] * (1 + (scale["growth"] - 1) * scale["share"])


def wide(x):
    """At least f32: norms are computed in it."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def gelu(x, config):
    return F.gelu(x, approximate="none" if config.nexus["gelu"] == "erf" else "tanh")


class RMSNorm(nn.Module):
    """Of the last axis; with `heads`, of each head by weights of its own."""

    def __init__(self, width, heads=1):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.heads = heads

    def forward(self, x):
        h = wide(x)
        h = h * torch.rsqrt(h.square().mean(-1, keepdim=True) + 1e-6)
        weight = wide(self.weight)
        return (h * (weight if self.heads == 1 else weight.view(self.heads, -1))).to(x.dtype)


class LayerNorm(nn.Module):
    def __init__(self, width, weighted):
        super().__init__()
        self.width = width
        self.weight = nn.Parameter(torch.ones(width)) if weighted else None

    def forward(self, x):
        weight = None if self.weight is None else wide(self.weight)
        return F.layer_norm(wide(x), (self.width,), weight, None, 1e-5).to(x.dtype)


class Linear(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))

    def forward(self, x):
        return F.linear(x, self.weight)


class NexusRank(nn.Module):
    """y = W_D g(W_A g(W_M x)), g = GELU after norm l2 or none (arXiv 2604.19147, section 3)."""

    def __init__(self, config, outputs, inner, inner_width=None):
        super().__init__()
        d, m = config.nexus["D"], config.nexus["M"]
        self.config = config
        self.w_m = nn.Parameter(torch.empty(m, d))
        self.w_a = nn.Parameter(torch.empty(inner, m))
        self.w_d = nn.Parameter(torch.empty(outputs, inner))
        self.scales = [math.sqrt(outputs * config.norm_gain(width)) for width in ("M", inner_width)]

    def activate(self, h, scale):
        if self.config.nexus["norm"] == "l2":
            norm = wide(h)
            h = (norm * (scale / (torch.linalg.vector_norm(norm, dim=-1, keepdim=True) + 1e-5))).to(h.dtype)
        return gelu(h, self.config)

    def forward(self, x):
        a = self.activate(F.linear(x, self.w_m), self.scales[0])
        return F.linear(self.activate(F.linear(a, self.w_a), self.scales[1]), self.w_d)


class Pattention(nn.Module):
    """y = V^T GELU(s sqrt(n_scale) / ||s||), s = K x (arXiv 2410.23168); of a zero row s it is 0."""

    def __init__(self, config, outputs, kind):
        super().__init__()
        tokens = config.nexus[f"n_{kind}"]
        self.config = config
        self.key = nn.Parameter(torch.empty(tokens, config.nexus["D"]))
        self.value = nn.Parameter(torch.empty(tokens, outputs))
        self.scale = math.sqrt(config.nexus[f"scale_{kind}"])

    def forward(self, x):
        s = wide(F.linear(x, self.key))
        norm = torch.linalg.vector_norm(s, dim=-1, keepdim=True)
        s = torch.where(norm > 0, s * (self.scale / norm), torch.zeros_like(s)).to(x.dtype)
        return gelu(s, self.config) @ self.value


class GatedMLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        d, f = config.nexus["D"], config.nexus["F"]
        self.config = config
        self.gated = config.nexus["mlp"] == "swiglu"
        if self.gated:
            self.w_gate = nn.Parameter(torch.empty(f, d))
        self.w_up = nn.Parameter(torch.empty(f, d))
        self.w_down = nn.Parameter(torch.empty(d, f))

    def forward(self, x):
        up = F.linear(x, self.w_up)
        up = F.silu(F.linear(x, self.w_gate)) * up if self.gated else gelu(up, self.config)
        return F.linear(up, self.w_down)


def projection(config, outputs, place):
    """Of q, k and v ("qkv"), of what attention has mixed ("proj"), or a block's second half ("ffn")."""
    arch, full = config.nexus["arch"], config.nexus.get("variant") == "full"
    if arch == "tokenformer":
        return Pattention(config, outputs, place)
    if arch == "nexusformer" and (full or place == "qkv"):
        if place == "ffn":
            return NexusRank(config, outputs, config.nexus["F"])
        return NexusRank(config, outputs, config.nexus["A"], "A")
    return GatedMLP(config) if place == "ffn" else Linear(config.nexus["D"], outputs)


def block_norm(config):
    return LayerNorm(config.nexus["D"], weighted=False) if config.nexus["arch"] == "tokenformer" else RMSNorm(config.nexus["D"])


def rotate(x, cosine, sine):
    """x [B, heads, T, head_dim]: of the first elements, i and i + R/2 are a pair."""
    half = cosine.shape[-1]
    first, second, rest = x[..., :half], x[..., half:2 * half], x[..., 2 * half:]
    first, second = wide(first), wide(second)
    turned = torch.cat((first * cosine - second * sine, second * cosine + first * sine), -1).to(x.dtype)
    return torch.cat((turned, rest), -1)


class Attention(nn.Module):
    def __init__(self, config, layer):
        super().__init__()
        self.layer, self.heads, self.kv_heads, self.head_dim = layer, config.nexus["H"], config.nexus["kv_heads"], config.head_dim
        q, kv = self.heads * self.head_dim, self.kv_heads * self.head_dim
        self.q, self.k, self.v = (projection(config, outputs, "qkv") for outputs in (q, kv, kv))
        self.o = projection(config, config.nexus["D"], "proj")
        self.normed = config.nexus.get("qk_norm", "none") == "rms"
        if self.normed:
            self.q_norm, self.k_norm = RMSNorm(q, self.heads), RMSNorm(kv, self.kv_heads)

    def forward(self, x, turn, mask, cache):
        batch, length, _ = x.shape
        q = self.q(x).view(batch, length, self.heads, self.head_dim)
        k = self.k(x).view(batch, length, self.kv_heads, self.head_dim)
        v = self.v(x).view(batch, length, self.kv_heads, self.head_dim)
        if self.normed:
            q, k = self.q_norm(q), self.k_norm(k)
        q, k, v = rotate(q.transpose(1, 2), *turn), rotate(k.transpose(1, 2), *turn), v.transpose(1, 2)
        if cache is not None:
            k, v = cache.update(k, v, self.layer)
        group = self.heads // self.kv_heads
        k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.o(mixed.transpose(1, 2).reshape(batch, length, -1))


class Block(nn.Module):
    def __init__(self, config, layer):
        super().__init__()
        self.attn_norm, self.attn = block_norm(config), Attention(config, layer)
        self.mlp_norm, self.mlp = block_norm(config), projection(config, config.nexus["D"], "ffn")

    def forward(self, x, turn, mask, cache):
        x = x + self.attn(self.attn_norm(x), turn, mask, cache)
        return x + self.mlp(self.mlp_norm(x))


class NexusForCausalLM(PreTrainedModel, GenerationMixin):
    config_class = NexusConfig
    _no_split_modules = ["Block"]
    _supports_sdpa = True
    _skip_keys_device_placement = [CACHE]

    def __init__(self, config):
        super().__init__(config)
        d, vocabulary = config.nexus["D"], config.nexus["V"]
        self.embed = nn.Embedding(vocabulary, d)
        self.layers = nn.ModuleList(Block(config, layer) for layer in range(config.nexus["L"]))
        self.norm = LayerNorm(d, weighted=True) if config.nexus["arch"] == "tokenformer" else RMSNorm(d)
        # A tied head has no parameter: the embedding's matrix serves.
        self.head = None if config.nexus["tie"] else nn.Linear(d, vocabulary, bias=False)
        self.post_init()

    def _init_weights(self, module):
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.dim() == 1:
                nn.init.ones_(parameter)
            else:
                nn.init.normal_(parameter, std=0.02)

    def get_input_embeddings(self):
        return self.embed

    def get_output_embeddings(self):
        return self.head

    def turn(self, position_ids):
        """Cosines and sines [B, 1, T, R / 2]; angles in f64, as nexus takes them."""
        rotary = int(self.config.head_dim * self.config.nexus["rotary_share"])
        exponent = torch.arange(rotary // 2, device=position_ids.device, dtype=torch.float64) * (-2.0 / rotary)
        angle = position_ids[:, None, :, None] * self.config.nexus["rope_theta"] ** exponent
        kind = torch.promote_types(self.embed.weight.dtype, torch.float32)
        return angle.cos().to(kind), angle.sin().to(kind)

    def forward(self, input_ids=None, attention_mask=None, position_ids=None, past_key_values=None, inputs_embeds=None, labels=None,
                use_cache=None, logits_to_keep=0, cache=None, **kwargs):
        x = self.embed(input_ids) if inputs_embeds is None else inputs_embeds
        length, device = x.shape[1], x.device
        cache = past_key_values if cache is None else cache
        use_cache = self.config.use_cache if use_cache is None else use_cache
        if use_cache and cache is None:
            cache = DynamicCache()
        past = 0 if cache is None else cache.get_seq_length()
        places = torch.arange(past + length, device=device)
        if position_ids is None:
            position_ids = places[past:][None]
        mask = (places[None] <= places[past:, None])[None, None]
        if attention_mask is not None:
            # What is padding sees itself, so that no row of scores is empty.
            mask = mask & (attention_mask[:, None, None].bool() | (places[None] == places[past:, None]))
        turn = self.turn(position_ids)
        for layer in self.layers:
            x = layer(x, turn, mask, cache)
        x = self.norm(x)
        if logits_to_keep:
            x = x[:, -logits_to_keep:]
        logits = F.linear(x, self.embed.weight if self.head is None else self.head.weight)
        loss = None
        if labels is not None:
            loss = self.loss_function(logits=logits, labels=labels, vocab_size=self.config.vocab_size, **kwargs)
        return CausalLMOutputWithPast(loss=loss, logits=logits, **{CACHE: cache if use_cache else None})
