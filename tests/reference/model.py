"""The decoder, dense or with a mixture of experts, written for reading.

Parameters are a dictionary by Hugging Face's names (Llama, Qwen2Moe), matrices `[out, in]`.
Every function works in the dtype that it is given.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from config import Config, ModelConfig, MoeConfig, RopeScaling

Parameters = dict[str, Tensor]


@dataclass
class States:
    """What a forward pass leaves behind."""

    hidden: Tensor  # [rows, T, d], after the final norm
    streams: list[Tensor]  # L + 1 of [rows, T, d]: the embedding's output, then after each block
    balance_loss: Tensor  # summed over the MoE blocks
    document_starts: Tensor | None = None  # as given


@dataclass
class Routing:
    """Where a router sends its tokens; k experts each, the most probable first."""

    probs: Tensor  # [tokens, E]
    experts: Tensor  # [tokens, k], int64
    weights: Tensor  # [tokens, k]
    balance_loss: Tensor


def rms_norm(x: Tensor, gain: Tensor, eps: float) -> Tensor:
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * gain


def scaled(frequencies: Tensor, scaling: RopeScaling) -> Tensor:
    """Frequencies of the rotations, by the number of turns that each makes over the original context."""
    if scaling.rope_type == "linear":
        return frequencies / scaling.factor
    turns = scaling.original_max_position_embeddings * frequencies / (2 * math.pi)
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    between = ((turns - low) / (high - low)).clamp(0, 1)
    return between * frequencies + (1 - between) * frequencies / scaling.factor


def rope(x: Tensor, theta: float, scaling: RopeScaling | None = None) -> Tensor:
    """Turns the pairs (i, i + D/2) of each head of `x [rows, T, heads, D]` by its position."""
    context, half = x.shape[1], x.shape[-1] // 2
    exponents = torch.arange(half, dtype=x.dtype, device=x.device) / half
    positions = torch.arange(context, dtype=x.dtype, device=x.device)
    frequencies = theta**-exponents
    if scaling:
        frequencies = scaled(frequencies, scaling)
    angles = torch.outer(positions, frequencies)[:, None, :]  # [T, 1, D/2]
    cos, sin = angles.cos(), angles.sin()
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


def unseen(context: int, document_starts: Tensor | None) -> Tensor:
    """True where query i does not see key j: `[T, T]`, or `[rows, 1, T, T]` with `document_starts [rows, T]`."""
    future = torch.ones(context, context, dtype=torch.bool).triu(1)
    if document_starts is None:
        return future
    return future | (torch.arange(context) < document_starts[:, None, :, None])


def attention(q: Tensor, k: Tensor, v: Tensor, document_starts: Tensor | None = None) -> Tensor:
    """Causal attention of `q [rows, T, heads, D]` over `k, v [rows, T, kv_heads, D]`.

    Query head h reads key and value head h // (heads / kv_heads). With `document_starts [rows, T]`,
    the position at which each token's document begins, it sees only keys of its own document.
    """
    context, group = q.shape[1], q.shape[2] // k.shape[2]
    k, v = (x.repeat_interleave(group, dim=2) for x in (k, v))
    scores = torch.einsum("rqhd,rkhd->rhqk", q, k) * q.shape[-1] ** -0.5
    others = unseen(context, document_starts).to(q.device)
    probs = scores.masked_fill(others, -torch.inf).softmax(-1)
    return torch.einsum("rhqk,rkhd->rqhd", probs, v)


def swiglu(p: Parameters, name: str, x: Tensor) -> Tensor:
    gate, up, down = (p[f"{name}.{part}_proj.weight"] for part in ("gate", "up", "down"))
    return F.linear(F.silu(F.linear(x, gate)) * F.linear(x, up), down)


def route(logits: Tensor, moe: MoeConfig) -> Routing:
    """Softmax over all experts of `logits [tokens, E]`, then the k largest; ties to the lowest index."""
    probs = logits.softmax(-1)
    k = moe.num_experts_per_tok
    experts = torch.argsort(probs, dim=-1, descending=True, stable=True)[:, :k]
    weights = probs.gather(-1, experts)
    if moe.norm_topk_prob:
        weights = weights / weights.sum(-1, keepdim=True)
    # Counts carry no gradient: it flows through the mean probabilities alone.
    share = F.one_hot(experts, moe.num_experts).sum((0, 1)).to(probs) / experts.numel()
    balance = moe.num_experts * (share * probs.mean(0)).sum()
    return Routing(probs, experts, weights, balance)


def mixture(p: Parameters, name: str, x: Tensor, moe: MoeConfig) -> tuple[Tensor, Tensor]:
    """A MoE block on `x [tokens, d]`, and its balance loss. Every expert computes every token."""
    routing = route(F.linear(x, p[f"{name}.gate.weight"]), moe)
    # [tokens, E]: 0 for the experts that a token is not sent to.
    weights = torch.zeros_like(routing.probs).scatter(-1, routing.experts, routing.weights)
    y = torch.zeros_like(x)
    for expert in range(moe.num_experts):
        y = y + weights[:, expert, None] * swiglu(p, f"{name}.experts.{expert}", x)
    if moe.shared_expert_intermediate_size > 0:
        shared = swiglu(p, f"{name}.shared_expert", x)
        if moe.shared_expert_gate:
            shared = F.linear(x, p[f"{name}.shared_expert_gate.weight"]).sigmoid() * shared
        y = y + shared
    return y, routing.balance_loss


def self_attention(
    p: Parameters, name: str, x: Tensor, model: ModelConfig, document_starts: Tensor | None
) -> Tensor:
    def heads(projection: str) -> Tensor:
        y = F.linear(x, p[f"{name}.{projection}_proj.weight"], p.get(f"{name}.{projection}_proj.bias"))
        return y.unflatten(-1, (-1, model.head_dim))

    def turned(projection: str) -> Tensor:
        y = heads(projection)
        if model.qk_norm:
            y = rms_norm(y, p[f"{name}.{projection}_norm.weight"], model.rms_norm_eps)
        return rope(y, model.rope_theta, model.rope_scaling)

    q, k = turned("q"), turned("k")
    return F.linear(attention(q, k, heads("v"), document_starts).flatten(-2), p[f"{name}.o_proj.weight"])


def forward(
    model: ModelConfig, p: Parameters, input_ids: Tensor, document_starts: Tensor | None = None
) -> States:
    """Runs `input_ids [rows, T]` through the embedding, the blocks and the final norm."""
    x = F.embedding(input_ids, p["model.embed_tokens.weight"])
    streams, balance = [x], x.new_zeros(())
    for layer in range(model.num_hidden_layers):
        name = f"model.layers.{layer}"
        y = rms_norm(x, p[f"{name}.input_layernorm.weight"], model.rms_norm_eps)
        x = x + self_attention(p, f"{name}.self_attn", y, model, document_starts)
        y = rms_norm(x, p[f"{name}.post_attention_layernorm.weight"], model.rms_norm_eps)
        if moe := model.moe_of(layer):
            y, block_balance = mixture(p, f"{name}.mlp", y.flatten(0, 1), moe)
            x, balance = x + y.view_as(x), balance + block_balance
        else:
            x = x + swiglu(p, f"{name}.mlp", y)
        streams.append(x)
    hidden = rms_norm(x, p["model.norm.weight"], model.rms_norm_eps)
    return States(hidden, streams, balance, document_starts)


def unembedding(model: ModelConfig, p: Parameters) -> Tensor:
    """`[vocab_size, d]`."""
    return p["model.embed_tokens.weight" if model.tie_word_embeddings else "lm_head.weight"]


def parameter_shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """Every parameter of the model and of the projection head, in the order of the forward pass."""
    model = config.model
    d = model.hidden_size
    q, kv = (n * model.head_dim for n in (model.num_attention_heads, model.num_key_value_heads))
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (model.vocab_size, d)}

    def add_swiglu(name: str, inner: int) -> None:
        for part, shape in ("gate", (inner, d)), ("up", (inner, d)), ("down", (d, inner)):
            shapes[f"{name}.{part}_proj.weight"] = shape

    def add_attention(name: str) -> None:
        shapes[f"{name}.input_layernorm.weight"] = (d,)
        for projection, shape in ("q", (q, d)), ("k", (kv, d)), ("v", (kv, d)), ("o", (d, q)):
            shapes[f"{name}.self_attn.{projection}_proj.weight"] = shape
            if model.qkv_bias and projection != "o":
                shapes[f"{name}.self_attn.{projection}_proj.bias"] = shape[:1]
            if model.qk_norm and projection in "qk":
                shapes[f"{name}.self_attn.{projection}_norm.weight"] = (model.head_dim,)
        shapes[f"{name}.post_attention_layernorm.weight"] = (d,)

    def add_joined(head: str) -> None:
        for part in "hidden", "token":
            shapes[f"{head}.{part}_norm.weight"] = (d,)
            shapes[f"{head}.{part}_proj.weight"] = (d, d)

    for layer in range(model.num_hidden_layers):
        name = f"model.layers.{layer}"
        add_attention(name)
        if moe := model.moe_of(layer):
            shapes[f"{name}.mlp.gate.weight"] = (moe.num_experts, d)
            for expert in range(moe.num_experts):
                add_swiglu(f"{name}.mlp.experts.{expert}", moe.moe_intermediate_size)
            if moe.shared_expert_intermediate_size > 0:
                add_swiglu(f"{name}.mlp.shared_expert", moe.shared_expert_intermediate_size)
            if moe.shared_expert_gate:
                shapes[f"{name}.mlp.shared_expert_gate.weight"] = (1, d)
        else:
            add_swiglu(f"{name}.mlp", model.intermediate_size)
    shapes["model.norm.weight"] = (d,)
    if not model.tie_word_embeddings:
        shapes["lm_head.weight"] = (model.vocab_size, d)
    if config.nitp.has_projector:
        add_swiglu("nitp.projector", 4 * d)
    if config.mtp.enabled:
        if config.mtp.head == "sequential":
            add_joined("mtp")
        add_attention("mtp.block")
        inner = model.intermediate_size
        if moe := model.moe:  # as wide as what a token passes
            inner = moe.num_experts_per_tok * moe.moe_intermediate_size
            inner += moe.shared_expert_intermediate_size
        add_swiglu("mtp.block.mlp", inner)
        shapes["mtp.norm.weight"] = (d,)
    if config.nextlat.enabled:
        add_joined("nextlat")
        add_swiglu("nextlat.dynamics", 4 * d)
    if config.top.enabled:
        shapes["top.unembedding.weight"] = (model.vocab_size, d)
    return shapes
