#!/usr/bin/env python3
"""Effective rank, mean cosine and probes at every depth of a comparison's models, as a Markdown table of docs/findings.md.

    python3 demo-data/search/depth.py NAME [FOLDER]     a comparison of run.sh; its folder (default: search)

`nitp probe --layer all` measures the last checkpoint of each run of `ntp` and `nitp`: the embedding, the residual stream
after each block (the last of which is before the final norm), and the states after the final norm. A row a layer, means
over seeds; behind a number of `nitp`, the paired difference from `ntp` with its 95 % interval. NITP names the program
(default: target/debug/nitp). It needs SciPy.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import mean, stdev

from scipy.stats import t

NITP = os.environ.get("NITP", "target/debug/nitp")


def probed(run: Path, texts: Path) -> list[dict]:
    """The layers of a run, which are measured once."""
    kept = run / "depth.json"
    if not kept.exists():
        command = [NITP, "probe", run, "--layer", "all", "--data", texts, "--json", "--device", "cpu"]
        kept.write_text(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return json.loads(kept.read_text())["layers"]


def measures(layer: dict) -> list[float]:
    accuracy = next(it["value"] for it in layer["scores"] if it["measure"] == "accuracy")
    return [layer["effective_rank"], layer["mean_cosine"], 100 * accuracy]


def cell(ntp: list[float], nitp: list[float], digits: int) -> str:
    pairs = [b - a for a, b in zip(ntp, nitp, strict=True)]
    half = t.ppf(0.975, len(pairs) - 1) * stdev(pairs) / len(pairs) ** 0.5
    low, high = mean(pairs) - half, mean(pairs) + half
    text = f"{mean(nitp):.{digits}f} ({mean(pairs):+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}])"
    return text.replace("-", "−")


def main() -> None:
    name = sys.argv[1]
    folder = Path(sys.argv[2] if len(sys.argv) > 2 else "search")
    runs = folder / "labs" / name / "runs"
    arms = [[probed(run, folder / "probe.jsonl") for run in sorted((runs / arm).glob("seed-?"))] for arm in ("ntp", "nitp")]
    print("| states | rank, ntp | rank, nitp | cosine, ntp | cosine, nitp | probe, ntp, % | probe, nitp, % |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for index, layer in enumerate(arms[0][0]):
        ntp, nitp = [list(zip(*(measures(seed[index]) for seed in arm))) for arm in arms]
        cells = [layer["layer"]]
        for a, b, digits in zip(ntp, nitp, (1, 3, 1)):
            cells += [f"{mean(a):.{digits}f}".replace("-", "−"), cell(list(a), list(b), digits)]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
