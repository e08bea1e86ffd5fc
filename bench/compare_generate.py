"""Times generation by `nitp` beside that of transformers (PyTorch eager), each with its cache, on the CPU.

    python bench/compare_generate.py small --rounds 3

Both write 256 tokens by a model of the same configuration, with random weights, on the same number of threads, in turns.
The model of transformers is the export of a run of one step.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

ROOT = Path(__file__).parents[1]
BINARY = ROOT / "target/release/nitp"
CORPUS = ROOT / "demo-data/corpus.jsonl"
TOKENS = 256


def run(command: list[str | Path], threads: int) -> str:
    environment = os.environ | {"RAYON_NUM_THREADS": str(threads)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}\nfailed:\n{done.stderr.strip()}")
    return done.stdout


@torch.inference_mode()
def by_transformers(model: torch.nn.Module) -> float:
    """Tokens a second, one forward pass a token."""
    token, cache = torch.zeros((1, 1), dtype=torch.long), None
    begin = time.perf_counter()
    for _ in range(TOKENS - 1):
        output = model(input_ids=token, past_key_values=cache, use_cache=True)
        cache = output.past_key_values
        token = output.logits[:, -1:].argmax(-1)
    return (TOKENS - 1) / (time.perf_counter() - begin)


def compare(preset: str, args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="nitp-bench-") as folder:
        settings = ["train.batch_size=1", "train.eval_interval=0", "train.geometry_interval=0", "nitp.enabled=false"]
        sets = [word for setting in settings for word in ("--set", setting)]
        training = ["train", "--preset", preset, "--steps", "1", "--device", "cpu", "--data", CORPUS]
        run([args.binary, *training, "--out", f"{folder}/run", *sets], args.threads)
        run([args.binary, "export", f"{folder}/run", "--out", f"{folder}/model"], args.threads)
        model = AutoModelForCausalLM.from_pretrained(f"{folder}/model", dtype=torch.float32).eval()
    by_transformers(model)
    bench = ["bench", "generate", "--preset", preset, "--steps", "1", "--device", "cpu", "--json"]
    ours, theirs = [], []
    for number in range(args.rounds):
        [report] = json.loads(run([args.binary, *bench], args.threads))
        ours.append(report["tokens_per_second"])
        theirs.append(by_transformers(model))
        print(
            f"{preset}, round {number + 1} of {args.rounds}: nitp {ours[-1]:,.0f}, transformers {theirs[-1]:,.0f} "
            f"tokens/s, ratio {ours[-1] / theirs[-1]:.2f}",
            file=sys.stderr,
        )
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    print(f"| {preset} | {statistics.median(ours):,.0f} | {statistics.median(theirs):,.0f} | {ratio:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("presets", nargs="*", default=["tiny", "small"], help="[tiny small]")
    parser.add_argument("--rounds", type=int, default=5, help="of each side, in turns [5]")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of either side [all]")
    parser.add_argument("--binary", type=Path, default=BINARY, help="[target/release/nitp]")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print("| preset | nitp, tokens/s | transformers, tokens/s | ratio |\n| --- | ---: | ---: | ---: |")
    for preset in args.presets:
        compare(preset, args)


if __name__ == "__main__":
    main()
