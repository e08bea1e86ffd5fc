"""Writes `tests/vectors/ops.safetensors`: single operations with their gradients, in float64.

    python ops.py

Names are `<operation>/<tensor>`; `d<tensor>` is a gradient, given that of the output where there is one.
Inputs are rounded to float32 before anything is computed from them, so every executor can start from
the same bits. Sizes are odd, so that no tile divides them.
"""

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

import model
import nitp
from config import MoeConfig
from train import IGNORED

FILE = Path(__file__).parents[1] / "vectors/ops.safetensors"
Vectors = dict[str, Tensor]

RANDOM = torch.Generator().manual_seed(0)


def random(*shape: int) -> Tensor:
    """Standard normal, rounded to float32, held in float64."""
    return torch.randn(shape, generator=RANDOM, dtype=torch.float64).float().double()


def differentiated(
    function: Callable[..., Tensor], inputs: Vectors, output: str, constants: Vectors | None = None
) -> Vectors:
    """Inputs, output, a random gradient of it (1 for a scalar), and the gradients of the inputs."""
    leaves = {name: x.requires_grad_() for name, x in inputs.items()}
    y = function(**leaves, **(constants or {}))
    dy = random(*y.shape) if y.ndim else torch.ones_like(y)
    gradients = torch.autograd.grad(y, list(leaves.values()), dy)
    result = {**leaves, **(constants or {}), output: y}
    if y.ndim:
        result[f"d{output}"] = dy
    return result | {f"d{name}": dx for name, dx in zip(leaves, gradients, strict=True)}


def rms_norm() -> Vectors:
    def function(x: Tensor, gain: Tensor) -> Tensor:
        return model.rms_norm(x, gain, eps=1e-6)

    return differentiated(function, {"x": random(7, 12), "gain": random(12)}, "y")


def rope() -> Vectors:
    def function(x: Tensor) -> Tensor:
        return model.rope(x, theta=10000.0)

    return differentiated(function, {"x": random(2, 7, 3, 6)}, "y")


def attention() -> Vectors:
    """6 query heads on 3 key and value heads; no rotation. `log_sum_exp [rows, heads, T]` of the scores."""
    inputs = {"q": random(2, 7, 6, 6), "k": random(2, 7, 3, 6), "v": random(2, 7, 3, 6)}
    q, k = inputs["q"], inputs["k"].repeat_interleave(2, dim=2)
    scores = torch.einsum("rqhd,rkhd->rhqk", q, k) / 6**0.5
    future = torch.ones(7, 7, dtype=torch.bool).triu(1)
    log_sum_exp = scores.masked_fill(future, -torch.inf).logsumexp(-1)
    return differentiated(model.attention, inputs, "out") | {"log_sum_exp": log_sum_exp}


def attention_documents() -> Vectors:
    """The same with documents that begin at `document_starts [rows, T]`."""
    starts = torch.tensor([[0, 0, 2, 2, 2, 2, 6], [0, 1, 2, 2, 2, 2, 2]])
    inputs = {"q": random(2, 7, 6, 6), "k": random(2, 7, 3, 6), "v": random(2, 7, 3, 6)}
    return differentiated(model.attention, inputs, "out", {"document_starts": starts})


def swiglu() -> Vectors:
    def function(gate: Tensor, up: Tensor) -> Tensor:
        return F.silu(gate) * up

    return differentiated(function, {"gate": random(7, 13), "up": random(7, 13)}, "y")


def projector() -> Vectors:
    """The whole head: 5 -> 20 -> 5."""

    def function(h: Tensor, **weights: Tensor) -> Tensor:
        return model.swiglu({f"p.{name}_proj.weight": w for name, w in weights.items()}, "p", h)

    inputs = {"h": random(7, 5), "gate": random(20, 5), "up": random(20, 5), "down": random(5, 20)}
    return differentiated(function, inputs, "p")


def cross_entropy() -> Vectors:
    """`token_loss [7]`, 0 where the label is -100; `loss` is the mean over the labels that count."""

    def function(logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels, ignore_index=IGNORED)

    labels = torch.tensor([3, 0, IGNORED, 12, 7, IGNORED, 12])
    logits = (4 * random(7, 13)).float().double()
    token_loss = F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="none")
    vectors = differentiated(function, {"logits": logits}, "loss", {"labels": labels})
    return vectors | {"token_loss": token_loss}


def nitp_loss(kind: str) -> Vectors:
    """`p` at t meets `z` at t + 1: `pair_loss [2, 7]`, 0 where the mask is; `loss` is its mean over
    the pairs that count, and what `dp` and `dz` are gradients of."""
    mask = torch.ones(2, 7, dtype=torch.int64)
    mask[:, -1], mask[0, 3], mask[1, 0] = 0, 0, 0

    def pair_loss(p: Tensor, z: Tensor) -> Tensor:
        return F.pad(nitp.pair_losses(kind, p[:, :-1], z[:, 1:]), (0, 1)) * mask

    def function(p: Tensor, z: Tensor, mask: Tensor) -> Tensor:
        return nitp.masked_mean(pair_loss(p, z), mask)

    p, z = random(2, 7, 12), random(2, 7, 12)
    vectors = differentiated(function, {"p": p, "z": z}, "loss", {"mask": mask})
    return vectors | {"pair_loss": pair_loss(p, z)}


def token_cosine() -> Vectors:
    return differentiated(nitp.token_cosine, {"h": random(2, 7, 12)}, "loss")


def moe_route(norm_topk_prob: bool) -> Vectors:
    """Top 2 of 5. `dlogits` is that through `weights` alone, `dlogits_balance` that of `balance_loss`."""
    moe = MoeConfig(
        num_experts=5,
        num_experts_per_tok=2,
        moe_intermediate_size=0,
        shared_expert_intermediate_size=0,
        first_k_dense_replace=0,
        norm_topk_prob=norm_topk_prob,
        router_aux_loss_coef=0.0,
    )
    logits = random(7, 5)
    vectors = differentiated(lambda logits: model.route(logits, moe).weights, {"logits": logits}, "weights")
    routing = model.route(logits, moe)
    (dlogits_balance,) = torch.autograd.grad(routing.balance_loss, logits, retain_graph=True)
    return vectors | {
        "probs": routing.probs,
        "experts": routing.experts,
        "balance_loss": routing.balance_loss,
        "dlogits_balance": dlogits_balance,
    }


def adamw() -> Vectors:
    """Two steps of a matrix (decays) and a gain (doesn't) at two rates, clipped to a norm of 1 over
    both. `g{n}` and `norm{n}` are before clipping; `m`, `v` the moments after the second step."""
    matrix, gain = (torch.nn.Parameter(random(*shape)) for shape in ((5, 7), (7,)))
    optimizer = torch.optim.AdamW(
        [{"params": [matrix], "weight_decay": 0.1}, {"params": [gain], "weight_decay": 0.0}],
        betas=(0.9, 0.95),
        eps=1e-8,
    )
    parts = {"matrix": matrix, "gain": gain}
    vectors = {f"{name}/p0": x.detach().clone() for name, x in parts.items()}
    for step, (rate, scale) in enumerate([(0.01, 3.0), (0.02, 0.01)], start=1):
        for name, x in parts.items():
            x.grad = (scale * random(*x.shape)).float().double()
            vectors[f"{name}/g{step}"] = x.grad.clone()
        # The second gradient is short: nothing to clip.
        vectors[f"norm{step}"] = torch.nn.utils.clip_grad_norm_(parts.values(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = rate
        vectors[f"learning_rate{step}"] = torch.tensor(rate, dtype=torch.float64)
        optimizer.step()
        vectors |= {f"{name}/p{step}": x.detach().clone() for name, x in parts.items()}
    for name, x in parts.items():
        vectors[f"{name}/m"] = optimizer.state[x]["exp_avg"]
        vectors[f"{name}/v"] = optimizer.state[x]["exp_avg_sq"]
    return vectors


def geometry() -> Vectors:
    """Of 9 states, off centre and of fewer directions than entries."""
    h = (random(9, 4) @ random(4, 6) + random(6)).float().double()
    return {
        "h": h,
        "effective_rank": nitp.effective_rank(h),
        "mean_cosine": nitp.token_cosine(h[None]),
    }


def main() -> None:
    operations: dict[str, Vectors] = {
        "rmsnorm": rms_norm(),
        "rope": rope(),
        "attention": attention(),
        "swiglu": swiglu(),
        "projector": projector(),
        "cross_entropy": cross_entropy(),
        **{f"nitp_{kind}": nitp_loss(kind) for kind in ("cosine", "mse", "smooth_l1", "kl")},
        "token_cosine": token_cosine(),
        "moe_route": moe_route(norm_topk_prob=False),
        "moe_route_norm": moe_route(norm_topk_prob=True),
        "adamw": adamw(),
        "geometry": geometry(),
        "attention_documents": attention_documents(),
    }
    tensors = {
        f"{operation}/{name}": x.detach().contiguous()
        for operation, vectors in operations.items()
        for name, x in vectors.items()
    }
    FILE.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, FILE)
    print(f"{FILE.name}: {len(tensors)} tensors, {FILE.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
