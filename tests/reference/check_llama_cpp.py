#!/usr/bin/env python3
"""Runs exported models in llama.cpp, and compares ids, logits and greedy texts.

    python3 tests/reference/check_llama_cpp.py [--nitp target/release/nitp] [--source LLAMA_CPP]

Needs torch, transformers, sentencepiece and llama-cpp-python. The converter is not in the package but in its source
archive: without `--source`, pip downloads the archive of the installed version.

For each kind of model: a short training, an export, the conversion with to_gguf.py to f32, then in llama.cpp the ids of
paragraphs of the demo corpus (against `tokenizer encode`), logits (against transformers) and the likeliest continuation
of prompts (against `nitp generate --temperature 0`). Exits with 1 where they differ, and where a kind that llama.cpp is
known not to run gives something else than is known.
"""

import argparse
import json
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from llama_cpp import Llama
from transformers import AutoModelForCausalLM
from transformers.utils import logging

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "demo-data/corpus.jsonl"
PROMPTS = ["The sea", "Once upon a time, ", "It was 1851,\n", "“Früh”"]
TOKENS = 40  # with a prompt of bytes, fewer than the context
MOST = 2e-4
F32 = 0  # of ggml's types

MIXTURE = ["--preset", "tiny-moe", "--set", "model.moe.first_k_dense_replace=0"]
GATE = ["--set", "model.moe.shared_expert_gate=true"]
# The options of each kind, and what is known of those that llama.cpp does not run.
KINDS: dict[str, tuple[list[str], str]] = {
    "dense, bytes": (["--preset", "nano"], ""),
    "dense": ([], ""),
    "dense, tied embeddings": (["--set", "model.tie_word_embeddings=true"], ""),
    "dense, narrow heads": (["--set", "model.head_dim=16"], ""),
    "dense, biases": (["--set", "model.qkv_bias=true"], ""),
    "dense, biases, narrow heads": (
        ["--set", "model.qkv_bias=true", "--set", "model.head_dim=16"],
        "Failed to load model",
    ),
    "dense, normalised heads": (["--set", "model.qk_norm=true"], ""),
    "mixture, a gate": ([*MIXTURE, *GATE], ""),
    "mixture, a gate and biases": ([*MIXTURE, *GATE, "--set", "model.qkv_bias=true"], ""),
    "mixture, a gate, normalised weights": (
        [*MIXTURE, *GATE, "--set", "model.moe.norm_topk_prob=true"],
        "ignores norm_topk_prob",
    ),
    "mixture": (MIXTURE, ""),
    "mixture without a shared expert": ([*MIXTURE, "--set", "model.moe.shared_expert_intermediate_size=0"], ""),
    "mixture, a dense first block": (["--preset", "tiny-moe", *GATE], "no Qwen2Moe with dense blocks"),
}


def run(*command: object) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return done.stdout


def source_of(folder: Path) -> Path:
    """llama.cpp's source, out of the archive of the installed package."""
    name = f"llama-cpp-python=={version('llama-cpp-python')}"
    run(sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", "llama-cpp-python", "-d", folder, name)
    (archive,) = folder.glob("llama_cpp_python-*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz") / "vendor/llama.cpp"


def differences(nitp: Path, source: Path, folder: Path, options: list[str]) -> list[str]:
    """What differs between llama.cpp and the others for a model."""
    steps = ["--steps", 40, "--set", "train.batch_size=4", "--set", "train.warmup_steps=5"]
    run(nitp, "train", "--device", "cpu", *steps, *options, "--data", CORPUS, "--out", folder / "run")
    run(nitp, "export", folder / "run", "--out", folder / "hf")
    gguf = folder / "model.gguf"
    run(
        sys.executable,
        Path(__file__).with_name("to_gguf.py"),
        source,
        folder / "hf",
        "--outfile",
        gguf,
        "--outtype",
        "f32",
    )
    theirs = AutoModelForCausalLM.from_pretrained(folder / "hf", experts_implementation="eager")
    context = theirs.config.max_position_embeddings
    llama = Llama(str(gguf), n_ctx=context, logits_all=True, type_k=F32, type_v=F32, n_threads=2, verbose=False)
    found = []

    with CORPUS.open(encoding="utf-8") as file:
        texts = [json.loads(next(file))["text"][:5000] for _ in range(20)]
    lines = folder / "texts.jsonl"
    lines.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    run(nitp, "tokenizer", "encode", folder / "hf/tokenizer.json", "--data", lines, "--out", folder / "ids.npy")
    ids = [id for text in texts for id in llama.tokenize(text.encode(), add_bos=False)]
    if not np.array_equal(ids, np.load(folder / "ids.npy")):
        found.append("ids")

    tokens = ids[:context]
    llama.eval(tokens)
    logits = torch.from_numpy(llama.scores[: len(tokens)])
    with torch.no_grad():
        expected = theirs(torch.tensor([tokens])).logits[0]
    difference = float((logits - expected).abs().max())
    print(f"  logits up to {float(expected.abs().max()):.2f} differ by {difference:.1e}")
    if logits.isnan().any():
        found.append("logits are NaN")
    elif difference > MOST:
        found.append("logits")

    prompts = folder / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in PROMPTS))
    generate = ["generate", "--device", "cpu", "--temperature", 0, "--max-tokens", TOKENS]
    output = run(nitp, *generate, folder / "run", "--prompts", prompts)
    for prompt, line in zip(PROMPTS, output.splitlines(), strict=True):
        llama.reset()
        made = []
        llama.eval(llama.tokenize(prompt.encode(), add_bos=True))
        while len(made) < TOKENS and llama.n_tokens < context:
            made.append(int(llama.scores[llama.n_tokens - 1].argmax()))
            if made[-1] == theirs.config.eos_token_id:
                break
            llama.eval(made[-1:])
        text = llama.detokenize(made).decode(errors="replace")
        if text != json.loads(line)["text"]:
            found.append(f"text: {text!r} for {json.loads(line)['text']!r}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nitp", type=Path, default=ROOT / "target/release/nitp")
    parser.add_argument("--source", type=Path, help="llama.cpp's source")
    parser.add_argument("--kind", default="", help="a part of the kinds' names")
    arguments = parser.parse_args()
    wrong = 0
    logging.disable_progress_bar()
    print(f"llama-cpp-python {version('llama-cpp-python')}, transformers {version('transformers')}")
    with tempfile.TemporaryDirectory() as name:
        source = arguments.source or source_of(Path(name))
        for kind, (options, known) in KINDS.items():
            if arguments.kind not in kind:
                continue
            print(kind, flush=True)
            folder = Path(tempfile.mkdtemp(dir=name))
            try:
                found = differences(arguments.nitp.resolve(), source.resolve(), folder, options)
            except (RuntimeError, ValueError) as error:
                found = [str(error)]
            print(f"  {'; '.join(found)[:500] or 'the same ids, logits and texts'}{', as is known' * bool(known)}")
            wrong += not any(known in it for it in found) if known else bool(found)
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
