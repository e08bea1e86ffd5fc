"""The training step of a nitp configuration in PyTorch, on the CPU or a GPU: how fast is it?

Written as a PyTorch user would for speed: one matrix for q, k, v and one for gate, up, PyTorch's
own fused kernels (rms_norm, scaled_dot_product_attention, AdamW), batches made beforehand on the
device. Experts are a loop. A round is some steps between two synchronisations; speeds are those of
the median round.
"""

import argparse
import json
import statistics
import time
import tomllib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
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

# On a GPU: seconds of a round, about; how near two rounds in a row have to be for the clocks to
# have risen; seconds after which the measuring begins all the same.
ROUND = 0.25
SETTLED = 0.03
WARM_UP = 5.0

# Different batches; after them the first one comes again.
BATCHES = 16


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
        self.copies = self.heads // self.kv_heads
        half = self.head_dim // 2
        frequencies = model["rope_theta"] ** (-torch.arange(half) / half)
        angles = torch.outer(torch.arange(context), frequencies)[:, None, :]  # [T, 1, D/2]
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def rope(self, x: Tensor) -> Tensor:
        # Under autocast the factors are halves as x is: attention takes no floats there.
        cos, sin = self.cos.to(x.dtype), self.sin.to(x.dtype)
        a, b = x.chunk(2, dim=-1)
        return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(x).unflatten(-1, (-1, self.head_dim))
        qk, v = qkv.split([self.heads + self.kv_heads, self.kv_heads], dim=2)
        q, k = self.rope(qk).split([self.heads, self.kv_heads], dim=2)
        q, k, v = (y.transpose(1, 2) for y in (q, k, v))
        grouped = self.copies > 1
        if grouped and x.is_cuda and q.dtype == torch.float32:
            # No fused kernel of a GPU shares keys in f32: copies are faster than none.
            k, v = (y.repeat_interleave(self.copies, dim=1) for y in (k, v))
            grouped = False
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=grouped)
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
        for expert, ids, weight in zip(
            self.experts, tokens.split(sizes), weights.split(sizes), strict=True
        ):
            out = expert(x.index_select(0, ids)) * weight
            y = y.index_add(0, ids, out.to(y.dtype))
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


def lay(config: Section, setting: str) -> None:
    """Overrides one key, as `--set` of nitp does."""
    key, _, text = setting.partition("=")
    *path, last = key.split(".")
    section = config
    for name in path:
        section = section.get(name, {})
    if last not in section:
        raise SystemExit(f"--set {setting}: the configuration has no {key}")
    try:
        section[last] = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        section[last] = text


class Steps:
    """A model in training, on a device, in a precision."""

    def __init__(self, config: Section, args: argparse.Namespace) -> None:
        self.train, self.device = config["train"], torch.device(args.device)
        self.half = args.precision == "bf16"
        torch.set_float32_matmul_precision("high" if args.precision == "tf32" else "highest")
        torch.manual_seed(self.train["seed"])
        self.model = Decoder(config).to(self.device)
        self.loss: Callable[[Tensor, Tensor], Tensor] = (
            torch.compile(self.model) if args.compile else self.model
        )
        self.optimizer = adamw(self.model, self.train, args.adamw)
        self.micros, self.rows, self.context = (
            self.train[key]
            for key in ("gradient_accumulation_steps", "batch_size", "context_length")
        )
        shape = (1 if args.one_batch else BATCHES, self.micros, self.rows, self.context + 1)
        self.batches = torch.randint(config["model"]["vocab_size"], shape).to(self.device)
        self.done = 0
        self.losses: list[Tensor] = []

    @property
    def tokens(self) -> int:
        return self.micros * self.rows * self.context

    def autocast(self) -> AbstractContextManager[Any]:
        if self.half:
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return nullcontext()

    def synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def step(self) -> None:
        total = torch.zeros((), device=self.device)
        for ids in self.batches[self.done % len(self.batches)]:
            with self.autocast():
                loss = self.loss(ids[:, :-1], ids[:, 1:]) / self.micros
            loss.backward()
            total += loss.detach()
        if self.train["grad_clip"] > 0:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.train["grad_clip"])
        rate = min(1, (self.done + 1) / max(1, self.train["warmup_steps"]))
        for group in self.optimizer.param_groups:
            group["lr"] = self.train["learning_rate"] * rate
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.done += 1
        # The first and the last one, still on the device.
        self.losses = [*self.losses[:1], total]

    def round(self, steps: int) -> float:
        """Seconds of each of so many steps."""
        self.synchronize()
        start = time.perf_counter()
        for _ in range(steps):
            self.step()
        self.synchronize()
        return (time.perf_counter() - start) / steps

    def settle(self, steps: int) -> bool:
        """Goes on until two rounds agree: a GPU's clocks rise under load."""
        end = time.perf_counter() + WARM_UP
        last = self.round(steps)
        while time.perf_counter() < end:
            now = self.round(steps)
            if abs(now - last) <= SETTLED * last:
                return True
            last = now
        return False


def positive(text: str) -> int:
    if (value := int(text)) < 1:
        raise ValueError(text)
    return value


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path, help="config.toml of a run folder of nitp")
    parser.add_argument(
        "--set", dest="sets", action="append", default=[], metavar="SECTION.KEY=VALUE",
        help="overrides one of its keys; may be given more than once",
    )
    parser.add_argument("--name", help="of the configuration, for the report [its folder's]")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="[cpu]")
    parser.add_argument(
        "--precision", choices=("f32", "tf32", "bf16"), default="f32",
        help="tf32: products of f32 in it; bf16: autocast, weights and moments in f32 [f32]",
    )
    parser.add_argument("--compile", action="store_true", help="the model by torch.compile")
    parser.add_argument("--rounds", type=positive, help="measured [40; on a GPU 10]")
    parser.add_argument(
        "--steps", type=positive, help=f"of a round [1; on a GPU those of about {ROUND} s]"
    )
    parser.add_argument(
        "--skip", type=positive, default=3,
        help=f"steps before them; a GPU goes on until two rounds are within {SETTLED:.0%}%, for "
        f"{WARM_UP:.0f} s at most [3]",
    )
    parser.add_argument("--threads", type=positive, help="[as PyTorch chooses]")
    parser.add_argument("--adamw", choices=("fused", "foreach", "loop"), default="fused")
    parser.add_argument("--one-batch", action="store_true", help="the same batch in every step")
    parser.add_argument("--json", action="store_true", help="a line of JSON")
    return parser.parse_args()


def check(args: argparse.Namespace, config: Section) -> None:
    """Ends with words where this machine or this script can't do what is asked for."""
    nitp = config["nitp"]
    for key, value in NITP.items():
        if nitp["enabled"] and nitp[key] != value:
            raise SystemExit(f"nitp.{key} = {nitp[key]!r}: this script knows {value!r} alone")
    if args.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit(f"--device cuda: PyTorch {torch.__version__} finds no such device")
    if args.device == "cpu" and args.precision == "tf32":
        raise SystemExit("--precision tf32: GPUs alone have it")


def main() -> None:
    args = arguments()
    config = tomllib.loads(args.config.read_text())
    for setting in args.sets:
        lay(config, setting)
    check(args, config)
    if args.threads:
        torch.set_num_threads(args.threads)
    on_gpu = args.device == "cuda"

    steps = Steps(config, args)
    for _ in range(args.skip):
        seconds = steps.round(1)
    length = args.steps or (max(1, round(ROUND / seconds)) if on_gpu else 1)
    settled = steps.settle(length) if on_gpu else True
    rounds = args.rounds or (10 if on_gpu else 40)
    measured = [steps.round(length) for _ in range(rounds)]

    median = statistics.median(measured)
    threads = torch.get_num_threads()
    on_cpu = f"CPU, {threads} thread{'s' * (threads > 1)}"
    device = torch.cuda.get_device_name() if on_gpu else on_cpu
    report = {
        "preset": args.name or args.config.resolve().parent.name,
        "rows": steps.rows,
        "context": steps.context,
        "device": device,
        "precision": args.precision,
        "compile": args.compile,
        "tokens_per_second_median": steps.tokens / median,
        "seconds_median": median,
        "seconds_min": min(measured),
        "rounds": rounds,
        "steps_of_a_round": length,
        "settled": settled,
        "first_loss": steps.losses[0].item(),
        "last_loss": steps.losses[-1].item(),
        "parameters": sum(x.numel() for x in steps.model.parameters()),
        "threads": threads,
        "torch": torch.__version__,
    }
    if args.json:
        print(json.dumps(report))
        return
    compiled = ", compiled" if args.compile else ""
    print(
        f"{report['preset']}, {steps.rows} x {steps.context}, {args.precision}{compiled}, PyTorch "
        f"{torch.__version__} on {device}: {report['tokens_per_second_median']:,.0f} tokens/s "
        f"(a step {1e3 * median:.2f} ms, at least {1e3 * min(measured):.2f}; {rounds} rounds of "
        f"{length})"
    )
    if not settled:
        print(f"warning: no two rounds in a row were alike within {WARM_UP:.0f} s")


if __name__ == "__main__":
    main()
