#!/usr/bin/env python3
"""Compares what `nitp export` wrote with the run that it is of.

    python3 tests/reference/check_export.py RUN EXPORTED

Logits of random tokens: transformers' of the exported folder, in float64, against those of this folder's
implementation of the run's newest checkpoint. Exits with 1 where they differ by more than 1e-4.
"""

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from config import load_config
from model import forward, unembedding

MOST = 1e-4


def main() -> None:
    run, exported = map(Path, sys.argv[1:])
    config = load_config(run / "config.toml")
    newest = max((run / "checkpoints").glob("step-*"))
    weights = {name: x.double() for name, x in load_file(newest / "model.safetensors").items()}
    torch.manual_seed(0)
    tokens = torch.randint(config.model.vocab_size, (2, config.train.context_length))
    theirs = AutoModelForCausalLM.from_pretrained(
        exported, dtype=torch.float64, experts_implementation="eager"
    )
    with torch.no_grad():
        states = forward(config.model, weights, tokens)
        ours = F.linear(states.hidden, unembedding(config.model, weights))
        found = theirs(tokens).logits
    difference = float((found - ours).abs().max())
    print(f"{type(theirs).__name__}: logits up to {float(ours.abs().max()):.2f} differ by at most {difference:.1e}")
    text = "The tide"
    tokenizer = AutoTokenizer.from_pretrained(exported)
    print(f"{text!r} is {tokenizer(text, add_special_tokens=False).input_ids}")
    sys.exit(difference > MOST)


main()
