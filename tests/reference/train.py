"""The training step: losses, gradients, clipping, AdamW and the schedule."""

import math
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from config import Config, TrainConfig
from model import Parameters, forward, unembedding
from nitp import nitp_loss
from rivals import IGNORED, mtp_loss, nextlat_losses, top_loss


@dataclass
class Batch:
    """The micro-batches of one step, each tensor `[accumulation, rows, T]` of int64."""

    input_ids: Tensor
    labels: Tensor  # -100 where no loss
    nitp_mask: Tensor  # 1 where the pair t, t + 1 (or t, t) counts
    document_starts: Tensor | None = None  # with train.document_mask: where each token's document begins


@dataclass
class Step:
    """What a step reports; losses are means over its micro-batches."""

    loss: float
    ntp_loss: float
    nitp_loss: float
    balance_loss: float
    mtp_loss: float
    nextlat_loss: float
    nextlat_kl: float
    top_loss: float
    grad_norm: float  # over all parameters, before clipping
    learning_rate: float


# The names of what `micro_losses` gives, in its order.
LOSSES = tuple(field.name for field in fields(Step))[:8]


def curves(config: Config) -> tuple[str, ...]:
    """The numbers of a step that a trace of this configuration has."""
    rivals = [
        name
        for on, names in (
            (config.mtp.enabled, ["mtp_loss"]),
            (config.nextlat.enabled, ["nextlat_loss", "nextlat_kl"]),
            (config.top.enabled, ["top_loss"]),
        )
        if on
        for name in names
    ]
    return (*LOSSES[:4], *rivals, "grad_norm", "learning_rate")


def learning_rate(train: TrainConfig, step: int) -> float:
    """Of step `step`, counted from 0."""
    peak, low = train.learning_rate, train.min_learning_rate_ratio
    if step < train.warmup_steps:
        return peak * (step + 1) / train.warmup_steps
    if train.schedule == "cosine":
        progress = (step - train.warmup_steps) / (train.steps - train.warmup_steps)
        return peak * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * progress)))
    decay_steps = math.floor(train.decay_ratio * train.steps + 0.5)
    left = train.steps - step
    if train.schedule == "constant" or left >= decay_steps:
        return peak
    return peak * (left / decay_steps if train.schedule == "wsd" else low ** (1 - left / decay_steps))


def micro_losses(
    config: Config,
    p: Parameters,
    input_ids: Tensor,
    labels: Tensor,
    mask: Tensor,
    step: int,
    document_starts: Tensor | None = None,
) -> Tensor:
    """The losses of one micro-batch, in the order of `LOSSES`; tensors `[rows, T]`."""
    states = forward(config.model, p, input_ids, document_starts)
    logits = F.linear(states.hidden, unembedding(config.model, p))
    summed = F.cross_entropy(
        logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="sum"
    )
    ntp = summed / (labels != IGNORED).sum().clamp(min=1)
    on = config.nitp.enabled and step >= config.nitp.start_step
    nitp = nitp_loss(config.nitp, p, states, mask) if on else torch.zeros_like(ntp)
    coefficient = config.model.moe.router_aux_loss_coef if config.model.moe else 0.0
    zero = torch.zeros_like(ntp)
    mtp = mtp_loss(config, p, states, input_ids, labels) if config.mtp.enabled else zero
    state, divergence = (
        nextlat_losses(config, p, states, input_ids, labels) if config.nextlat.enabled else (zero, zero)
    )
    order = top_loss(config, p, states, labels) if config.top.enabled else zero
    total = ntp + config.nitp.weight * nitp + coefficient * states.balance_loss
    total = total + config.mtp.weight * mtp + config.top.weight * order
    total = total + config.nextlat.weight * state + config.nextlat.kl_weight * divergence
    return torch.stack([total, ntp, nitp, states.balance_loss, mtp, state, divergence, order])


class Trainer:
    """Parameters with their optimizer: PyTorch's own AdamW and clipping."""

    def __init__(self, config: Config, parameters: Parameters) -> None:
        self.config = config
        self.parameters = {
            name: value.clone().requires_grad_() for name, value in parameters.items()
        }
        train, values = config.train, self.parameters.values()
        self.optimizer = torch.optim.AdamW(
            [
                {"params": [x for x in values if x.ndim == 2], "weight_decay": train.weight_decay},
                {"params": [x for x in values if x.ndim != 2], "weight_decay": 0.0},
            ],
            betas=(train.beta1, train.beta2),
            eps=train.eps,
        )

    def accumulate(self, batch: Batch, step: int) -> Tensor:
        """Gradients of the mean over the micro-batches into `.grad`; returns the mean losses."""
        # A parameter that no loss reaches has a gradient of 0, so weight decay applies to it too.
        for parameter in self.parameters.values():
            parameter.grad = torch.zeros_like(parameter)
        count = len(batch.input_ids)
        starts = [None] * count if batch.document_starts is None else batch.document_starts
        means = torch.zeros(len(LOSSES), dtype=torch.float64)
        micros = zip(batch.input_ids, batch.labels, batch.nitp_mask, starts, strict=True)
        for *micro, of_micro in micros:
            losses = micro_losses(self.config, self.parameters, *micro, step, of_micro) / count
            losses[0].backward()
            means += losses.detach().double()
        return means

    def update(self, losses: Tensor, step: int) -> Step:
        """Clips the gradients and moves the parameters."""
        clip, rate = self.config.train.grad_clip, learning_rate(self.config.train, step)
        # A clip of 0 means none.
        norm = torch.nn.utils.clip_grad_norm_(self.parameters.values(), clip or math.inf)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        return Step(*losses.tolist(), grad_norm=norm.item(), learning_rate=rate)
