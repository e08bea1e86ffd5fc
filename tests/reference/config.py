"""The configuration of a run, with the key names of `config.toml`."""

import json
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

TINY = Path(__file__).parents[2] / "demo-data/configs/tiny.toml"


@dataclass(frozen=True)
class MoeConfig:
    num_experts: int
    num_experts_per_tok: int
    moe_intermediate_size: int
    shared_expert_intermediate_size: int
    first_k_dense_replace: int
    norm_topk_prob: bool
    router_aux_loss_coef: float
    shared_expert_gate: bool = False


@dataclass(frozen=True)
class RopeScaling:
    rope_type: str  # "linear" | "llama3"
    factor: float
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_max_position_embeddings: int = 8192


@dataclass(frozen=True)
class ModelConfig:
    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    intermediate_size: int
    rope_theta: float
    rms_norm_eps: float
    tie_word_embeddings: bool
    initializer_range: float
    qkv_bias: bool = False
    qk_norm: bool = False
    rope_scaling: RopeScaling | None = None
    moe: MoeConfig | None = None

    def moe_of(self, layer: int) -> MoeConfig | None:
        """The mixture of block `layer` (from 0); `None` where the block is dense."""
        return self.moe if self.moe and layer >= self.moe.first_k_dense_replace else None


@dataclass(frozen=True)
class NitpConfig:
    enabled: bool
    weight: float
    target_layer: int
    shift: str  # "next" | "current"
    loss: str  # "cosine" | "mse" | "smooth_l1" | "kl"
    regularizer: str  # "none" | "token_cosine", which replaces the loss against a target
    stop_gradient: bool
    projector: str  # "swiglu" | "none"
    start_step: int
    source: str  # "post_norm" | "pre_norm"

    @property
    def has_projector(self) -> bool:
        return self.enabled and self.regularizer == "none" and self.projector == "swiglu"


@dataclass(frozen=True)
class MtpConfig:
    enabled: bool = False
    weight: float = 0.3
    head: str = "sequential"  # "sequential" | "parallel"


@dataclass(frozen=True)
class NextLatConfig:
    enabled: bool = False
    weight: float = 1.0
    kl_weight: float = 1.0


@dataclass(frozen=True)
class TopConfig:
    enabled: bool = False
    weight: float = 1.0
    window: int = 16


# Sections that a configuration may leave out.
RIVALS = {"mtp": MtpConfig, "nextlat": NextLatConfig, "top": TopConfig}


@dataclass(frozen=True)
class TrainConfig:
    steps: int
    batch_size: int
    context_length: int
    gradient_accumulation_steps: int
    learning_rate: float
    warmup_steps: int
    schedule: str  # "wsd" | "wsd_exp" | "cosine" | "constant"
    decay_ratio: float
    beta1: float
    beta2: float
    eps: float
    weight_decay: float
    grad_clip: float
    seed: int
    eval_interval: int
    eval_batches: int
    geometry_interval: int
    checkpoint_interval: int
    keep_checkpoints: int
    min_learning_rate_ratio: float = 0.1  # read by "wsd_exp" and "cosine" alone
    document_mask: bool = False


@dataclass(frozen=True)
class DataConfig:
    paths: list[str]
    tokenizer: str
    validation_fraction: float


@dataclass(frozen=True)
class Config:
    model: ModelConfig
    nitp: NitpConfig
    train: TrainConfig
    data: DataConfig
    mtp: MtpConfig = MtpConfig()
    nextlat: NextLatConfig = NextLatConfig()
    top: TopConfig = TopConfig()

    @staticmethod
    def from_dict(sections: dict[str, Any]) -> "Config":
        """A missing or unknown key is a `TypeError` that names it."""
        model = dict(sections["model"])
        for name, kind in ("moe", MoeConfig), ("rope_scaling", RopeScaling):
            if section := model.get(name):
                model[name] = kind(**section)
        train, data = dict(sections["train"]), dict(sections["data"])
        data.pop("end_of_text", None)  # ids are made elsewhere
        train.pop("recompute_activations", None)  # changes no number
        if train.pop("precision", "f32") != "f32":
            raise ValueError("train.precision is mixed: the reference knows f32 alone")
        return Config(
            model=ModelConfig(**model),
            nitp=NitpConfig(**sections["nitp"]),
            train=TrainConfig(**train),
            data=DataConfig(**data),
            **{name: kind(**sections.get(name, {})) for name, kind in RIVALS.items()},
        )

    def to_json(self) -> str:
        sections = asdict(self)
        if (moe := sections["model"]["moe"]) and not moe["shared_expert_gate"]:
            del moe["shared_expert_gate"]
        if not sections["train"]["document_mask"]:
            del sections["train"]["document_mask"]
        for name in "moe", "rope_scaling", "qkv_bias", "qk_norm":
            if not sections["model"][name]:
                del sections["model"][name]
        for name in RIVALS:
            if not sections[name]["enabled"]:
                del sections[name]
        return json.dumps(sections)


def merged(base: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """`base` with the entries of `patch` laid over it, section by section."""
    result = dict(base)
    for key, value in patch.items():
        inside = isinstance(value, dict) and isinstance(base.get(key), dict)
        result[key] = merged(base[key], value) if inside else value
    return result


def load_config(path: Path) -> Config:
    """A TOML or JSON file; keys that it leaves out are as in the `tiny` preset."""
    text = path.read_text()
    sections = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    return Config.from_dict(merged(tomllib.loads(TINY.read_text()), sections))
