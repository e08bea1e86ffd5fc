#!/usr/bin/env python3
"""Converts a folder of `nitp export` to GGUF, with llama.cpp's converter.

    python3 tests/reference/to_gguf.py LLAMA_CPP FOLDER --outfile MODEL.gguf [--outtype f16]

LLAMA_CPP is llama.cpp's source, with `convert_hf_to_gguf.py`. Options behind the folder are the converter's. It needs
torch, transformers and sentencepiece.

The converter knows a tokenizer by the ids of a text, and so none that was just trained. Where it knows no name, this
script gives it that of GPT-2, if the tokenizer cuts words as GPT-2's does: `nitp tokenizer train` makes such ones.
llama.cpp divides by the result of a mixture's gate, and so by zero where the gate is of zeros. Such a gate becomes one
of 1e-20, whose sigmoid is one half, too, to the last digit.
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path

from torch import Tensor


def main() -> None:
    source, folder = map(Path, sys.argv[1:3])
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if not (source / "convert_hf_to_gguf.py").is_file():
        sys.exit(f"{source} has no convert_hf_to_gguf.py: give the folder of llama.cpp's source")
    if config["model_type"] == "qwen2_moe":
        if config.get("norm_topk_prob"):
            sys.exit("llama.cpp ignores norm_topk_prob, and would write other texts")
        if config.get("mlp_only_layers"):
            sys.exit("llama.cpp has no Qwen2Moe with dense blocks: train with model.moe.first_k_dense_replace=0")
    sys.path[:0] = [str(source), str(source / "gguf-py")]
    import convert_hf_to_gguf
    import gguf
    from conversion.base import LazyTorchTensor, TextModel
    from conversion.qwen import Qwen2MoeModel

    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    words = tokenizer["pre_tokenizer"] or {}
    is_gpt2 = tokenizer["normalizer"] is None and words.get("type") == "ByteLevel"
    is_gpt2 = is_gpt2 and words.get("use_regex", True) and not words["add_prefix_space"]
    by_ids = TextModel.get_vocab_base_pre

    def name(self: TextModel, tokenizer: object) -> str:
        try:
            return by_ids(self, tokenizer)
        except NotImplementedError:
            if not is_gpt2:
                raise
            print("to_gguf: no matter, the tokenizer cuts words as GPT-2's does")
            return "gpt-2"

    TextModel.get_vocab_base_pre = name
    if not tokenizer["model"].get("merges"):
        # llama.cpp reads no BPE without merges. This one, of two zero bytes, makes no token that is there.
        without = gguf.SpecialVocab._load

        def load(self: gguf.SpecialVocab, path: Path) -> None:
            without(self, path)
            self.merges = self.merges or ["\u0100 \u0100"]

        gguf.SpecialVocab._load = load
    converted = Qwen2MoeModel.modify_tensors

    def modify(self: Qwen2MoeModel, tensor: Tensor, name: str, block: int | None) -> Iterable[tuple[str, Tensor]]:
        if name.endswith("mlp.shared_expert_gate.weight"):
            read = LazyTorchTensor.to_eager(tensor).float()
            tensor = tensor if read.any() else read + 1e-20
        yield from converted(self, tensor, name, block)

    Qwen2MoeModel.modify_tensors = modify
    del sys.argv[1]
    convert_hf_to_gguf.main()


if __name__ == "__main__":
    main()
