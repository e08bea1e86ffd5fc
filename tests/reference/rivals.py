"""Objectives that NITP is compared with: multi-token, next-latent and token order prediction.

docs/rivals.md has the definitions, and what each paper leaves open.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from config import Config
from model import Parameters, States, rms_norm, self_attention, swiglu, unembedding

IGNORED = -100


def has_next_state(labels: Tensor) -> Tensor:
    """Where position t + 1 is of the same row and its token has a label at t; bool `[rows, T]`."""
    counts = labels != IGNORED
    counts[:, -1] = False
    return counts


def second_labels(labels: Tensor) -> Tensor:
    """The token after the next, where both have a label; `[rows, T]`."""
    second = torch.full_like(labels, IGNORED)
    second[:, :-1] = torch.where(labels[:, :-1] != IGNORED, labels[:, 1:], IGNORED)
    return second


def joined(config: Config, p: Parameters, head: str, hidden: Tensor, input_ids: Tensor) -> Tensor:
    """The state at t with the embedding of the token at t + 1; in the last column, of the token itself."""
    next_ids = torch.cat([input_ids[:, 1:], input_ids[:, -1:]], dim=1)
    parts = {"hidden": hidden, "token": F.embedding(next_ids, p["model.embed_tokens.weight"])}
    eps = config.model.rms_norm_eps
    return sum(
        F.linear(rms_norm(x, p[f"{head}.{part}_norm.weight"], eps), p[f"{head}.{part}_proj.weight"])
        for part, x in parts.items()
    )


def mtp_loss(
    config: Config, p: Parameters, states: States, input_ids: Tensor, labels: Tensor
) -> Tensor:
    """Cross-entropy of the token after the next."""
    model, x = config.model, states.streams[-1]
    if config.mtp.head == "sequential":
        x = joined(config, p, "mtp", x, input_ids)
    y = rms_norm(x, p["mtp.block.input_layernorm.weight"], model.rms_norm_eps)
    x = x + self_attention(p, "mtp.block.self_attn", y, model, states.document_starts)
    y = rms_norm(x, p["mtp.block.post_attention_layernorm.weight"], model.rms_norm_eps)
    x = x + swiglu(p, "mtp.block.mlp", y)
    hidden = rms_norm(x, p["mtp.norm.weight"], model.rms_norm_eps)
    logits, second = F.linear(hidden, unembedding(model, p)), second_labels(labels)
    summed = F.cross_entropy(
        logits.flatten(0, 1), second.flatten(), ignore_index=IGNORED, reduction="sum"
    )
    return summed / (second != IGNORED).sum().clamp(min=1)


def nextlat_losses(
    config: Config, p: Parameters, states: States, input_ids: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor]:
    """Smooth L1 of the predicted state, mean over width, and KL of its next-token distribution."""
    h = states.hidden
    u = joined(config, p, "nextlat", h, input_ids)
    predicted = (h + swiglu(p, "nextlat.dynamics", u))[:, :-1]
    target = h.detach()[:, 1:]
    counts = has_next_state(labels)[:, :-1]
    number = counts.sum().clamp(min=1)
    state = F.smooth_l1_loss(predicted, target, reduction="none").mean(-1)
    head = unembedding(config.model, p).detach()
    ln_p, ln_z = (F.linear(x, head).log_softmax(-1) for x in (predicted, target))
    divergence = F.kl_div(ln_p, ln_z, reduction="none", log_target=True).sum(-1)
    return (state * counts).sum() / number, (divergence * counts).sum() / number


def order(labels: Tensor, vocab: int, window: int) -> Tensor:
    """The distribution over the tokens ahead, `[rows, T, vocab]`; 0 where there is none.

    A token's score is window - d, with d the distance of the first time it comes; the softmax is
    over the tokens that come before the end of the row, the first ignored label and the window.
    """
    rows, context = labels.shape
    scores = torch.full((rows, context, vocab), -torch.inf, dtype=torch.float64)
    for row in range(rows):
        for t in range(context):
            for d in range(1, window + 1):
                if t + d > context or labels[row, t + d - 1] == IGNORED:
                    break
                token = labels[row, t + d - 1]
                if scores[row, t, token] == -torch.inf:
                    scores[row, t, token] = window - d
    return scores.softmax(-1).nan_to_num(0.0)


def top_loss(config: Config, p: Parameters, states: States, labels: Tensor) -> Tensor:
    """ListNet's loss: cross-entropy of the order."""
    logits = F.linear(states.hidden, p["top.unembedding.weight"])
    target = order(labels, config.model.vocab_size, config.top.window).to(logits)
    losses = -(target * logits.log_softmax(-1)).sum(-1)
    return losses.sum() / (labels != IGNORED).sum().clamp(min=1)
