"""Writes `tests/vectors/<name>.safetensors`: ten training steps of tiny models, in float64.

    python models.py [NAME ...]

Each file has the form of `nitp trace` (see `trace.py`). Sizes are such that no tile divides them, norm
gains are not 1 and weights are large, so that a factor left out anywhere shows.
"""

import sys
from pathlib import Path
from typing import Any

import torch

from check_trace import TOLERANCE
from config import Config, merged
from model import Parameters, parameter_shapes
from trace import Trace, compare, run
from train import IGNORED

VECTORS = Path(__file__).parents[1] / "vectors"
MAX_BYTES = 200_000

BASE: dict[str, Any] = {
    "model": {
        "vocab_size": 37,
        "hidden_size": 10,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 6,
        "intermediate_size": 13,
        "rope_theta": 10000.0,
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": False,
        "initializer_range": 0.3,
    },
    "nitp": {
        "enabled": True,
        "weight": 0.7,
        "target_layer": 1,
        "shift": "next",
        "loss": "cosine",
        "regularizer": "none",
        "stop_gradient": True,
        "projector": "swiglu",
        "start_step": 0,
        "source": "post_norm",
    },
    "train": {
        "steps": 10,
        "batch_size": 2,
        "context_length": 9,
        "gradient_accumulation_steps": 1,
        "learning_rate": 0.01,
        "warmup_steps": 3,
        "schedule": "wsd",
        "decay_ratio": 0.3,
        "min_learning_rate_ratio": 0.1,
        "beta1": 0.9,
        "beta2": 0.95,
        "eps": 1e-8,
        "weight_decay": 0.1,
        "grad_clip": 1.0,
        "seed": 0,
        "eval_interval": 0,
        "eval_batches": 1,
        "geometry_interval": 0,
        "checkpoint_interval": 0,
        "keep_checkpoints": 1,
    },
    "data": {"paths": [], "tokenizer": "tokenizer.json", "validation_fraction": 0.0},
}

MOE: dict[str, Any] = {
    "num_experts": 5,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 7,
    "shared_expert_intermediate_size": 5,
    "first_k_dense_replace": 1,
    "norm_topk_prob": False,
    "router_aux_loss_coef": 0.1,
}

# What each model has that the base has not.
MODELS: dict[str, dict[str, Any]] = {
    "ntp": {"nitp": {"enabled": False}},
    "dense": {"model": {"num_key_value_heads": 4}},
    "tied": {"model": {"tie_word_embeddings": True}},
    "gqa": {"model": {"num_attention_heads": 6, "head_dim": 4, "num_hidden_layers": 3}},
    "moe": {"model": {"num_hidden_layers": 3, "moe": MOE}},
    # More experts than tokens choose: some get none.
    "moe_norm_topk": {
        "model": {
            "num_hidden_layers": 1,
            "moe": MOE
            | {
                "num_experts": 11,
                "num_experts_per_tok": 3,
                "moe_intermediate_size": 3,
                "shared_expert_intermediate_size": 0,
                "first_k_dense_replace": 0,
                "norm_topk_prob": True,
            },
        },
        "train": {"batch_size": 1, "context_length": 7},
    },
    "mse": {"nitp": {"loss": "mse"}},
    "smooth_l1": {"nitp": {"loss": "smooth_l1"}},
    "kl": {"nitp": {"loss": "kl"}},
    "token_cosine": {"nitp": {"regularizer": "token_cosine"}},
    "shift_current": {"nitp": {"shift": "current"}},
    "stop_gradient_off": {"nitp": {"stop_gradient": False}},
    "projector_none": {"nitp": {"projector": "none"}},
    "pre_norm": {"nitp": {"source": "pre_norm"}, "train": {"schedule": "cosine"}},
    "target_layer_0": {"nitp": {"target_layer": 0, "stop_gradient": False}},
    # Two documents a row and labels that don't count; NITP and the decay begin midway.
    "accumulation_masked": {
        "nitp": {"start_step": 3},
        "train": {
            "gradient_accumulation_steps": 2,
            "batch_size": 3,
            "context_length": 11,
            "schedule": "wsd_exp",
        },
    },
    "mtp": {"nitp": {"enabled": False}, "mtp": {"enabled": True}},
    "mtp_parallel": {"nitp": {"enabled": False}, "mtp": {"enabled": True, "head": "parallel"}},
    "mtp_moe": {"nitp": {"enabled": False}, "mtp": {"enabled": True}, "model": {"moe": MOE}},
    "nextlat": {"nitp": {"enabled": False}, "nextlat": {"enabled": True}},
    "nextlat_moe": {
        "nitp": {"enabled": False},
        "nextlat": {"enabled": True, "weight": 0.5, "kl_weight": 2.0},
        "model": {"moe": MOE},
    },
    "top": {"nitp": {"enabled": False}, "top": {"enabled": True}},
    "top_moe": {
        "nitp": {"enabled": False},
        "top": {"enabled": True, "weight": 0.5, "window": 3},
        "model": {"moe": MOE},
    },
    # Every objective at once, labels that don't count, one matrix for both ends.
    "rivals_masked": {
        "model": {"tie_word_embeddings": True},
        "mtp": {"enabled": True},
        "nextlat": {"enabled": True},
        "top": {"enabled": True},
        "train": {"gradient_accumulation_steps": 2, "batch_size": 3, "context_length": 11},
    },
    "qkv_bias": {"model": {"qkv_bias": True, "rope_scaling": {"rope_type": "linear", "factor": 2.0}}},
    "rope_llama3": {
        "model": {
            "qkv_bias": True,
            "rope_theta": 20.0,
            "rope_scaling": {
                "rope_type": "llama3",
                "factor": 4.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 2.0,
                "original_max_position_embeddings": 8,
            },
        },
    },
    "qk_norm": {"model": {"qk_norm": True, "qkv_bias": True}},
    "shared_expert_gate": {"model": {"moe": MOE | {"shared_expert_gate": True}}},
    # Attention stays in the document, also that of a head with a block of its own.
    "documents_masked": {
        "model": {"moe": MOE},
        "mtp": {"enabled": True},
        "train": {
            "document_mask": True,
            "gradient_accumulation_steps": 2,
            "batch_size": 3,
            "context_length": 11,
        },
    },
}


def initial(config: Config, random: torch.Generator) -> Parameters:
    """Normal weights and biases, gains near 1, rounded to float32, held in float64."""
    model, values = config.model, {}
    for name, shape in parameter_shapes(config).items():
        x = torch.randn(shape, generator=random, dtype=torch.float64)
        is_gain = len(shape) == 1 and not name.endswith(".bias")
        x = 1 + 0.2 * x if is_gain else model.initializer_range * x
        values[name] = x.float().double()
    return values


def inputs(config: Config, masked: bool, random: torch.Generator) -> dict[str, torch.Tensor]:
    """Random tokens whose labels are the next ones. With `masked`, a second document starts inside
    each row, a fifth of the labels don't count, and one micro-batch has nothing that counts."""
    train = config.train
    rows, context = train.batch_size, train.context_length
    shape = (train.steps, train.gradient_accumulation_steps, rows, context)
    tokens = torch.randint(config.model.vocab_size, (*shape[:3], context + 1), generator=random)
    labels, mask = tokens[..., 1:].clone(), torch.ones(shape, dtype=torch.int64)
    if config.nitp.shift == "next":
        mask[..., -1] = 0
    if masked:
        last_of_document = torch.randint(1, context - 1, (*shape[:3], 1), generator=random)
        mask.scatter_(-1, last_of_document, 0)
        labels.scatter_(-1, last_of_document, IGNORED)
        labels[torch.rand(shape, generator=random) < 0.2] = IGNORED
        labels[4, 1], mask[4, 1] = IGNORED, 0
    result = {"input_ids": tokens[..., :-1].contiguous(), "labels": labels, "nitp_mask": mask}
    if train.document_mask:
        second = torch.arange(context) > last_of_document
        result["document_starts"] = torch.where(second, last_of_document + 1, 0)
    return result


def check_robust(name: str, trace: Trace, random: torch.Generator) -> str:
    """What float32 does to a model must stay well inside the tolerances: neither rounding nor weights
    that are 1e-6 off may turn a choice of experts or the sign of an AdamW update."""
    noisy = {
        key: x * (1 + 3e-7 * torch.randn(x.shape, generator=random, dtype=x.dtype))
        for key, x in trace.init.items()
    }
    rounded = compare(run(trace.config, trace.init, trace.inputs, torch.float32), trace).worst
    perturbed = compare(run(trace.config, noisy, trace.inputs, torch.float64), trace).worst
    for kind, limit in TOLERANCE.items():
        if not (rounded[kind] < limit / 3 and perturbed[kind] < limit):
            raise SystemExit(f"{name}: {kind}: float32 {rounded[kind]:.1e}, 3e-7 off {perturbed[kind]:.1e}")
    return "  ".join(f"{kind} {x:.0e}" for kind, x in rounded.items())


def main() -> None:
    torch.set_num_threads(1)
    VECTORS.mkdir(parents=True, exist_ok=True)
    wanted = sys.argv[1:]
    if unknown := set(wanted) - MODELS.keys():
        raise SystemExit(f"there is no model {', '.join(unknown)}: there are {', '.join(MODELS)}")
    for seed, (name, patch) in enumerate(MODELS.items()):
        if wanted and name not in wanted:
            continue
        random = torch.Generator().manual_seed(seed)
        config = Config.from_dict(merged(BASE, patch))
        masked = name.endswith("masked")
        trace = run(config, initial(config, random), inputs(config, masked, random), torch.float64)
        rounding = check_robust(name, trace, random)
        path = VECTORS / f"{name}.safetensors"
        trace.save(path)
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise SystemExit(f"{path} has {size} bytes, more than {MAX_BYTES}")
        print(f"{name:<20} {size / 1e3:4.0f} kB   float32: {rounding}")


if __name__ == "__main__":
    main()
