"""Checks the reference against what is known without it: closed forms and PyTorch's own operations.

    python check_reference.py
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

import model
import nitp
import trace
from config import Config, merged
from models import BASE, MOE, MODELS, VECTORS, initial, inputs
from train import Trainer, Batch, learning_rate, micro_losses

RANDOM = torch.Generator().manual_seed(0)


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=RANDOM, dtype=torch.float64)


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def case(name: str) -> tuple[Config, model.Parameters, list[Tensor]]:
    """A model of `models.py`, its weights, and the first micro-batch."""
    config = Config.from_dict(merged(BASE, MODELS[name]))
    batch = inputs(config, name.endswith("masked"), RANDOM)
    micro = [batch[key][0, 0] for key in trace.inputs_of(config)]
    return config, initial(config, RANDOM), micro


def cosine_gradient_is_the_papers() -> None:
    """-(v - s u) / r, with r = |p|, u = p / r, v = z / |z|, s = u.v."""
    p, z = random(12).requires_grad_(), random(12)
    r, v = p.norm(), z / z.norm()
    u = p / r
    (gradient,) = torch.autograd.grad(nitp.pair_losses("cosine", p, z), p)
    close(gradient, -(v - (u @ v) * u) / r)


def cosine_hessian_is_lemma_3_1() -> None:
    h, z = random(12), random(12)
    hessian = torch.autograd.functional.hessian(lambda h: nitp.pair_losses("cosine", h, z), h)
    r, v = h.norm(), z / z.norm()
    u = h / r
    s = u @ v
    a = v - s * u
    lemma = s * (torch.eye(12, dtype=h.dtype) - torch.outer(u, u)) + torch.outer(u, a) + torch.outer(a, u)
    close(hessian, lemma / r**2)
    w = random(12)
    w = w - (w @ u) * u
    close(u @ hessian @ u, torch.zeros((), dtype=h.dtype))
    close(w @ hessian @ w, s / r**2 * (w @ w))


def token_cosine_is_the_closed_form() -> None:
    h = random(1, 9, 5)
    u = h[0] / h[0].norm(dim=-1, keepdim=True)
    close(nitp.token_cosine(h), (u.sum(0).square().sum() - 9) / (9 * 8))


def attention_is_pytorchs() -> None:
    q, k, v = random(2, 7, 6, 4), random(2, 7, 3, 4), random(2, 7, 3, 4)
    heads_first = [x.transpose(1, 2) for x in (q, k, v)]
    right = F.scaled_dot_product_attention(*heads_first, is_causal=True, enable_gqa=True)
    close(model.attention(q, k, v), right.transpose(1, 2))
    # A row of two documents is two rows of one.
    starts = torch.tensor([[0, 0, 0, 3, 3, 3, 3]]).expand(2, 7)
    documents = model.attention(q, k, v, starts)
    for part in slice(0, 3), slice(3, 7):
        close(documents[:, part], model.attention(q[:, part], k[:, part], v[:, part]))


def norm_is_pytorchs() -> None:
    x, gain = random(7, 12), random(12)
    close(model.rms_norm(x, gain, 1e-6), F.rms_norm(x, (12,), gain, 1e-6))


def rope_depends_on_distance_alone() -> None:
    q, k = random(6).expand(1, 9, 1, 6), random(6).expand(1, 9, 1, 6)
    scores = model.rope(q, 10000.0)[0, :, 0] @ model.rope(k, 10000.0)[0, :, 0].T
    for offset in range(-8, 9):
        diagonal = scores.diagonal(offset)
        close(diagonal, diagonal[:1].expand_as(diagonal))


def mixture_is_a_loop_over_tokens() -> None:
    moe = Config.from_dict(merged(BASE, {"model": {"moe": MOE}})).model.moe
    config = Config.from_dict(merged(BASE, {"model": {"moe": MOE}}))
    p, x = initial(config, RANDOM), random(8, 10)
    name = "model.layers.1.mlp"
    y, balance = model.mixture(p, name, x, moe)
    counts, mean_probs = [0] * 5, torch.zeros(5, dtype=x.dtype)
    for token in range(8):
        probs = torch.softmax(p[f"{name}.gate.weight"] @ x[token], -1)
        right = model.swiglu(p, f"{name}.shared_expert", x[token])
        for expert in sorted(range(5), key=lambda e: -probs[e].item())[:2]:
            right = right + probs[expert] * model.swiglu(p, f"{name}.experts.{expert}", x[token])
            counts[expert] += 1
        mean_probs += probs / 8
        close(y[token], right)
    close(balance, 5 * sum(count / 16 * q for count, q in zip(counts, mean_probs, strict=True)))


def uniform_routing_has_a_balance_of_one() -> None:
    moe = Config.from_dict(merged(BASE, {"model": {"moe": MOE}})).model.moe
    equal = model.route(torch.zeros(4, 5, dtype=torch.float64), moe)
    close(equal.balance_loss, torch.ones((), dtype=torch.float64))
    assert equal.experts.tolist() == [[0, 1]] * 4, "ties go to the lowest index"


def stop_gradient_stops() -> None:
    """Of a loss that reads the embedding as target alone, the gradient there is 0, and not without."""
    config, p, (ids, _, mask) = case("target_layer_0")
    for stop in True, False:
        objective = replace(config.nitp, stop_gradient=stop)
        embedding = p["model.embed_tokens.weight"].clone().requires_grad_()
        streams = [F.embedding(ids, embedding)]
        states = model.States(random(*ids.shape, 10).requires_grad_(), streams, torch.zeros(()))
        loss = nitp.nitp_loss(objective, p, states, mask)
        (gradient,) = torch.autograd.grad(loss, embedding, materialize_grads=True, allow_unused=True)
        assert (gradient == 0).all() == stop


def gradients_are_finite_differences() -> None:
    """The whole loss along a random direction. Without the stop-gradient, which no difference sees, and without
    next-latent prediction, which always stops gradients."""
    for name in MODELS:
        config, p, micro = case(name)
        if config.nextlat.enabled:
            continue
        config = replace(config, nitp=replace(config.nitp, stop_gradient=False, start_step=0))
        trainer = Trainer(config, p)
        trainer.accumulate(Batch(*(x[None] for x in micro)), step=0)
        direction = {key: random(*x.shape) for key, x in p.items()}

        def loss(t: float) -> Tensor:
            moved = {key: x + t * direction[key] for key, x in p.items()}
            return micro_losses(config, moved, *micro[:3], 0, *micro[3:])[0]

        slope = sum((x.grad * direction[key]).sum() for key, x in trainer.parameters.items())
        h = 1e-4
        # Fourth order, so that h may be large against rounding.
        measured = (8 * (loss(h) - loss(-h)) - loss(2 * h) + loss(-2 * h)) / (12 * h)
        torch.testing.assert_close(slope.detach(), measured, rtol=1e-6, atol=1e-8, msg=lambda it: f"{name}: {it}")


def future_tokens_change_nothing() -> None:
    config, p, (ids, _, _) = case("moe")
    changed = ids.clone()
    changed[:, 5:] = (changed[:, 5:] + 1) % config.model.vocab_size
    before, after = (model.forward(config.model, p, x) for x in (ids, changed))
    close(before.hidden[:, :5], after.hidden[:, :5])
    assert not torch.equal(before.hidden[:, 5:], after.hidden[:, 5:])


def what_is_masked_counts_nowhere() -> None:
    config, p, (ids, labels, mask) = case("accumulation_masked")
    on = config.nitp.start_step
    nothing = micro_losses(config, p, ids, torch.full_like(labels, -100), torch.zeros_like(mask), on)
    close(nothing, torch.zeros_like(nothing))
    assert micro_losses(config, p, ids, labels, mask, on - 1)[2] == 0
    only = torch.zeros_like(mask)
    only[1, 2] = 1
    states = model.forward(config.model, p, ids)
    prediction = model.swiglu(p, "nitp.projector", states.hidden[1, 2])
    right = 1 - F.cosine_similarity(prediction, states.streams[1][1, 3], dim=0)
    close(nitp.nitp_loss(config.nitp, p, states, only), right)


def schedules() -> None:
    train = Config.from_dict(BASE).train
    train = replace(train, steps=100, warmup_steps=10, decay_ratio=0.2, learning_rate=1.0)
    expected = {
        "wsd": {0: 0.1, 9: 1.0, 10: 1.0, 80: 1.0, 90: 0.5, 99: 0.05},
        "wsd_exp": {0: 0.1, 80: 1.0, 90: 0.1**0.5},
        "cosine": {0: 0.1, 10: 1.0, 55: 0.55},
        "constant": {0: 0.1, 10: 1.0, 99: 1.0},
    }
    for schedule, rates in expected.items():
        for step, rate in rates.items():
            assert abs(learning_rate(replace(train, schedule=schedule), step) - rate) < 1e-12


def committed_vectors_are_these() -> None:
    """Each file replays to what it holds."""
    paths = sorted(VECTORS / f"{name}.safetensors" for name in MODELS)
    for path in paths:
        read = trace.load(path)
        worst = trace.compare(read, trace.run(read.config, read.init, read.inputs, torch.float64)).worst
        assert worst["curves"] < 1e-12 and max(worst.values()) < 1e-7, (path.name, worst)


def main() -> None:
    torch.set_num_threads(1)
    checks = [
        cosine_gradient_is_the_papers,
        cosine_hessian_is_lemma_3_1,
        token_cosine_is_the_closed_form,
        attention_is_pytorchs,
        norm_is_pytorchs,
        rope_depends_on_distance_alone,
        mixture_is_a_loop_over_tokens,
        uniform_routing_has_a_balance_of_one,
        stop_gradient_stops,
        gradients_are_finite_differences,
        future_tokens_change_nothing,
        what_is_masked_counts_nowhere,
        schedules,
        committed_vectors_are_these,
    ]
    for check in checks:
        check()
        print(f"ok  {check.__name__.replace('_', ' ')}")


if __name__ == "__main__":
    main()
