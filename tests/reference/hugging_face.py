#!/usr/bin/env python3
"""Writes tests/vectors/hugging_face: small models as transformers saves them, with the logits that it computes.

    pip install -r tests/reference/requirements.txt
    python3 tests/reference/hugging_face.py

Each folder holds config.json, the weights in one file or several, and expected.safetensors: `tokens [24]`, `logits
[24, vocab_size]` of the token after each, and `greedy [50]`, the likeliest continuation of the first 8 tokens.
"""

import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2MoeConfig,
    Qwen2MoeForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

FOLDER = Path(__file__).resolve().parent.parent / "vectors" / "hugging_face"
PROMPT, TOKENS, NEW = 8, 24, 50
SIZES = dict(
    vocab_size=72,
    hidden_size=32,
    intermediate_size=40,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=12,
    max_position_embeddings=64,
    # Larger than in training, so that tokens differ.
    initializer_range=0.2,
    bos_token_id=None,
    eos_token_id=None,
)
MIXTURE = dict(
    num_experts=4,
    num_experts_per_tok=2,
    moe_intermediate_size=16,
    shared_expert_intermediate_size=20,
    mlp_only_layers=[0],
    norm_topk_prob=True,
)


def rope(kind: str, **more: float) -> dict:
    return dict(rope_parameters=dict(rope_type=kind, rope_theta=5000.0, **more))


# name: class, settings, type of the weights, largest file
MODELS = {
    "llama": (LlamaForCausalLM, LlamaConfig(**SIZES), torch.float32, "1GB"),
    "llama_tied": (LlamaForCausalLM, LlamaConfig(**SIZES, tie_word_embeddings=True), torch.bfloat16, "1GB"),
    "llama_3": (
        LlamaForCausalLM,
        LlamaConfig(
            **SIZES,
            **rope(
                "llama3",
                factor=4.0,
                low_freq_factor=1.0,
                high_freq_factor=4.0,
                original_max_position_embeddings=32,
            ),
        ),
        torch.float16,
        "1GB",
    ),
    "mistral": (
        MistralForCausalLM,
        MistralConfig(**SIZES, sliding_window=None, **rope("linear", factor=2.0)),
        torch.float16,
        "20KB",
    ),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config(**SIZES), torch.float32, "1GB"),
    "qwen2_tied": (Qwen2ForCausalLM, Qwen2Config(**SIZES, tie_word_embeddings=True), torch.bfloat16, "1GB"),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config(**SIZES), torch.bfloat16, "1GB"),
    "qwen2_moe": (Qwen2MoeForCausalLM, Qwen2MoeConfig(**SIZES, **MIXTURE, qkv_bias=True), torch.float32, "1GB"),
    "qwen2_moe_gated": (
        Qwen2MoeForCausalLM,
        Qwen2MoeConfig(**SIZES, **MIXTURE, qkv_bias=True),
        torch.bfloat16,
        "1GB",
    ),
    "qwen2_moe_plain": (
        Qwen2MoeForCausalLM,
        Qwen2MoeConfig(**SIZES, **(MIXTURE | dict(norm_topk_prob=False)), qkv_bias=False),
        torch.bfloat16,
        "40KB",
    ),
}


def make(name: str, kind: type[PreTrainedModel], config: object, dtype: torch.dtype, shard: str) -> None:
    torch.manual_seed(len(name))
    model = kind(config)
    with torch.no_grad():
        for key, tensor in model.named_parameters():
            if key.endswith("norm.weight"):
                tensor.uniform_(0.5, 1.5)
            elif key.endswith("bias"):
                tensor.normal_(0.0, 0.3)
            elif "shared_expert_gate" in key and not name.endswith("gated"):
                # A half for every token, as exports here have it.
                tensor.fill_(2.0**-64)
    folder = FOLDER / name
    model.to(dtype).save_pretrained(folder, max_shard_size=shard)
    (folder / "generation_config.json").unlink()
    # The weights as they were rounded, computed with in float64.
    model = kind.from_pretrained(folder, dtype=torch.float64, experts_implementation="eager").eval()
    tokens = torch.randint(0, SIZES["vocab_size"], (1, TOKENS))
    with torch.no_grad():
        logits = model(tokens).logits[0]
        greedy = tokens[0, :PROMPT].tolist()
        for _ in range(NEW):
            greedy.append(int(model(torch.tensor([greedy])).logits[0, -1].argmax()))
    save_file(
        {"tokens": tokens[0], "logits": logits.float(), "greedy": torch.tensor(greedy[PROMPT:])},
        folder / "expected.safetensors",
    )


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    for name, model in sorted(MODELS.items()):
        make(name, *model)


main()
