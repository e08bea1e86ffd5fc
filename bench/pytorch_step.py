"""The training step of a nitp configuration in PyTorch eager, f32, on the CPU: how fast is it?

Written as a PyTorch user would for speed: one matrix for q, k, v and one for gate, up, PyTorch's
own fused kernels (rms_norm, scaled_dot_product_attention, AdamW), batches made beforehand.
"""

import argparse
import json
import statistics
import time
import tomllib
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Section = dict[str, Any]

# What this file implements of the [nitp] section: the defaults, which every preset uses.
NITP = {
    "shift": "next",
    "loss": "cosine",
    "regularizer": "none",
    "stop_gradient": True,
    "projector": "swiglu",
    "start_step": 0,
    "source": "post_norm",
}


class RmsNorm(nn.Module):
    def __init__(self, model: Section) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(model["hidden_size"]))
        self.eps = model["rms_norm_eps"]

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


class SwiGlu(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.gate_up = nn.Linear(width, 2 * inner, bias=False)
        self.down = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(F.silu(gate) * up)


class Attention(nn.Module):
    def __init__(self, model: Section, context: int) -> None:
        super().__init__()
        d, self.head_dim = model["hidden_size"], model["head_dim"]
        self.heads, self.kv_heads = model["num_attention_heads"], model["num_key_value_heads"]
        self.qkv = nn.Linear(d, (self.heads + 2 * self.kv_heads) * self.head_dim, bias=False)
        self.o = nn.Linear(self.heads * self.head_dim, d, bias=False)
        half = self.head_dim // 2
        frequencies = model["rope_theta"] ** (-torch.arange(half) / half)
        angles = torch.outer(torch.arange(context), frequencies)[:, None, :]  # [T, 1, D/2]
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def rope(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, dim=-1)
        return torch.cat([a * self.cos - b * self.sin, b * self.cos + a * self.sin], dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(x).unflatten(-1, (-1, self.head_dim))
        qk, v = qkv.split([self.heads + self.kv_heads, self.kv_heads], dim=2)
        q, k = self.rope(qk).split([self.heads, self.kv_heads], dim=2)
        q, k, v = (y.transpose(1, 2) for y in (q, k, v))
        y = F.scaled_dot_product_attention(
            q, k, v, is_causal=True, enable_gqa=self.heads != self.kv_heads
        )
        return self.o(y.transpose(1, 2).flatten(-2))


class Mixture(nn.Module):
    """Each expert computes the tokens that the router sends to it; none is dropped."""

    def __init__(self, width: int, moe: Section) -> None:
        super().__init__()
        self.count, self.top_k = moe["num_experts"], moe["num_experts_per_tok"]
        self.normalised = moe["norm_topk_prob"]
        inner, shared = moe["moe_intermediate_size"], moe["shared_expert_intermediate_size"]
        self.router = nn.Linear(width, self.count, bias=False)
        self.experts = nn.ModuleList(SwiGlu(width, inner) for _ in range(self.count))
        self.shared = SwiGlu(width, shared) if shared else None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        shape, x = x.shape, x.flatten(0, 1)
        probs = self.router(x).softmax(-1)
        weights, chosen = probs.topk(self.top_k, dim=-1)
        if self.normalised:
            weights = weights / weights.sum(-1, keepdim=True)
        # The routed pairs in the order of their experts.
        order = chosen.flatten().argsort(stable=True)
        counts = chosen.flatten().bincount(minlength=self.count)
        tokens, weights = order // self.top_k, weights.flatten()[order, None]
        y = self.shared(x) if self.shared else torch.zeros_like(x)
        sizes = counts.tolist()
        for expert, ids, weight in zip(self.experts, tokens.split(sizes), weights.split(sizes)):
            y = y.index_add(0, ids, expert(x.index_select(0, ids)) * weight)
        balance = self.count * (counts / chosen.numel() * probs.mean(0)).sum()
        return y.view(shape), balance


class Block(nn.Module):
    def __init__(self, model: Section, layer: int, context: int) -> None:
        super().__init__()
        d, moe = model["hidden_size"], model.get("moe")
        self.attention_norm, self.ffn_norm = RmsNorm(model), RmsNorm(model)
        self.attention = Attention(model, context)
        is_moe = moe is not None and layer >= moe["first_k_dense_replace"]
        self.ffn = Mixture(d, moe) if is_moe else SwiGlu(d, model["intermediate_size"])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        x = x + self.attention(self.attention_norm(x))
        y = self.ffn(self.ffn_norm(x))
        y, balance = y if isinstance(y, tuple) else (y, None)
        return x + y, balance


class Decoder(nn.Module):
    """The model with NITP's projection head; calling it gives the loss."""

    def __init__(self, config: Section) -> None:
        super().__init__()
        model, self.nitp = config["model"], config["nitp"]
        d, blocks = model["hidden_size"], model["num_hidden_layers"]
        context = config["train"]["context_length"]
        self.embedding = nn.Embedding(model["vocab_size"], d)
        self.blocks = nn.ModuleList(Block(model, layer, context) for layer in range(blocks))
        self.norm = RmsNorm(model)
        self.unembedding = nn.Linear(d, model["vocab_size"], bias=False)
        if model["tie_word_embeddings"]:
            self.unembedding.weight = self.embedding.weight
        self.projector = SwiGlu(d, 4 * d) if self.nitp["enabled"] else None
        self.balance_weight = model["moe"]["router_aux_loss_coef"] if "moe" in model else 0.0
        deviation = model["initializer_range"]
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                # Those that write to the residual stream are smaller.
                writes = name.endswith(("o.weight", "down.weight")) and "projector" not in name
                scale = (2 * blocks) ** -0.5 if writes else 1.0
                nn.init.normal_(parameter, std=deviation * scale)

    def forward(self, input_ids: Tensor, labels: Tensor) -> Tensor:
        x, balances = self.embedding(input_ids), []
        streams = [x]
        for block in self.blocks:
            x, balance = block(x)
            streams.append(x)
            balances += [] if balance is None else [balance]
        h = self.norm(x)
        loss = F.cross_entropy(self.unembedding(h).flatten(0, 1), labels.flatten())
        if self.projector is not None:
            target = streams[self.nitp["target_layer"]][:, 1:].detach()
            cosine = F.cosine_similarity(self.projector(h[:, :-1]), target, dim=-1)
            loss = loss + self.nitp["weight"] * (1 - cosine).mean()
        if balances:
            loss = loss + self.balance_weight * torch.stack(balances).sum()
        return loss


def adamw(model: nn.Module, train: Section, implementation: str) -> torch.optim.AdamW:
    matrices = [x for x in model.parameters() if x.ndim == 2]
    gains = [x for x in model.parameters() if x.ndim != 2]
    return torch.optim.AdamW(
        [{"params": matrices}, {"params": gains, "weight_decay": 0.0}],
        weight_decay=train["weight_decay"],
        lr=train["learning_rate"],
        betas=(train["beta1"], train["beta2"]),
        eps=train["eps"],
        fused=implementation == "fused",
        foreach=implementation == "foreach",
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path, help="config.toml of a run folder of nitp")
    parser.add_argument("--steps", type=int, default=40, help="steps measured [40]")
    parser.add_argument("--skip", type=int, default=3, help="steps before them [3]")
    parser.add_argument("--threads", type=int, help="[as PyTorch chooses]")
    parser.add_argument("--adamw", choices=("fused", "foreach", "loop"), default="fused")
    parser.add_argument("--one-batch", action="store_true", help="the same batch in every step")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    config = tomllib.loads(args.config.read_text())
    nitp, train = config["nitp"], config["train"]
    for key, value in NITP.items():
        if nitp["enabled"] and nitp[key] != value:
            raise SystemExit(f"nitp.{key} = {nitp[key]!r}: this script knows {value!r} alone")
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(train["seed"])

    model = Decoder(config)
    optimizer = adamw(model, train, args.adamw)
    micros, rows, context = (
        train[key] for key in ("gradient_accumulation_steps", "batch_size", "context_length")
    )
    count = args.skip + args.steps
    shape = (1 if args.one_batch else count, micros, rows, context + 1)
    batches = torch.randint(config["model"]["vocab_size"], shape)
    seconds, losses = [], []
    for step in range(count):
        start = time.perf_counter()
        rate = train["learning_rate"] * min(1, (step + 1) / max(1, train["warmup_steps"]))
        total = 0.0
        for ids in batches[step % len(batches)]:
            loss = model(ids[:, :-1], ids[:, 1:]) / micros
            loss.backward()
            total += loss.item()
        if train["grad_clip"] > 0:
            nn.utils.clip_grad_norm_(model.parameters(), train["grad_clip"])
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - start)
        losses.append(total)

    measured = seconds[args.skip :]
    median = statistics.median(measured)
    report = {
        "tokens_per_second": micros * rows * context / median,
        "median_seconds": median,
        "min_seconds": min(measured),
        "steps": len(measured),
        "first_loss": losses[0],
        "last_loss": losses[-1],
        "parameters": sum(x.numel() for x in model.parameters()),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
