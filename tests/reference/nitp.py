"""Next Implicit Token Prediction: the objective with every setting, and the geometry of states."""

import torch
import torch.nn.functional as F
from torch import Tensor

from config import NitpConfig
from model import Parameters, States, swiglu

SHORTEST = 1e-12  # guards the norm of a vector without direction


def pair_losses(kind: str, p: Tensor, z: Tensor) -> Tensor:
    """The loss of each prediction `p [..., d]` against its target `z [..., d]`."""
    match kind:
        case "cosine":
            u, v = (F.normalize(x, dim=-1, eps=SHORTEST) for x in (p, z))
            return 1 - (u * v).sum(-1)
        case "mse":
            return F.mse_loss(p, z, reduction="none").mean(-1)
        case "smooth_l1":
            return F.smooth_l1_loss(p, z, reduction="none").mean(-1)
        case "kl":  # KL(softmax(z) || softmax(p))
            ln_p, ln_z = p.log_softmax(-1), z.log_softmax(-1)
            return F.kl_div(ln_p, ln_z, reduction="none", log_target=True).sum(-1)
    raise ValueError(f"nitp.loss is {kind!r}: expected cosine, mse, smooth_l1 or kl")


def token_cosine(h: Tensor) -> Tensor:
    """Mean cosine over ordered pairs i != j of the states of a row, averaged over `h [rows, T, d]`."""
    context = h.shape[1]
    u = F.normalize(h, dim=-1, eps=SHORTEST)
    cosines = u @ u.mT  # [rows, T, T]
    others = ~torch.eye(context, dtype=torch.bool, device=h.device)
    return cosines[:, others].mean()


def masked_mean(losses: Tensor, mask: Tensor) -> Tensor:
    """Mean of the losses that count; 0 where none does."""
    return (losses * mask).sum() / mask.sum().clamp(min=1)


def nitp_loss(nitp: NitpConfig, p: Parameters, states: States, mask: Tensor) -> Tensor:
    """The raw loss of a micro-batch; `mask [rows, T]` is 1 where the pair that starts at t counts."""
    source = states.hidden if nitp.source == "post_norm" else states.streams[-1]
    if nitp.regularizer == "token_cosine":
        return token_cosine(source)
    target = states.streams[nitp.target_layer]
    if nitp.stop_gradient:
        target = target.detach()
    prediction = swiglu(p, "nitp.projector", source) if nitp.projector == "swiglu" else source
    if nitp.shift == "next":
        prediction, target, mask = prediction[:, :-1], target[:, 1:], mask[:, :-1]
    return masked_mean(pair_losses(nitp.loss, prediction, target), mask)


def effective_rank(h: Tensor) -> Tensor:
    """Roy and Vetterli's: exp of the entropy of the covariance's eigenvalues; `h [n, d]`."""
    eigenvalues = torch.linalg.eigvalsh(torch.cov(h.mT)).clamp(min=0)
    return torch.special.entr(eigenvalues / eigenvalues.sum()).sum().exp()
