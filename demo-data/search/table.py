#!/usr/bin/env python3
"""What the comparisons of the search say, as the Markdown table of docs/findings.md.

    python3 demo-data/search/table.py [FOLDER]     the folder of run.sh; without, `search`

A row an arm, means over seeds. Behind a number is the paired difference from the first arm with its 95 % interval, and a
star where the p-value is below 0.05. "Rank over the run" is the effective rank of the last hidden states before training,
the lowest, the highest after that, and the last.
"""

import csv
import json
import sys
from collections import defaultdict
from pathlib import Path
from statistics import mean

# Key of the report, title, decimals.
MEASURES = [
    ("val_loss", "held-out loss", 3),
    ("effective_rank", "effective rank", 1),
    ("mean_cosine", "mean cosine", 3),
    ("probe", "probes, %", 1),
]


def rank_over_the_run(ranks: list[float]) -> str:
    if not ranks:
        return ""
    lowest = min(range(len(ranks)), key=ranks.__getitem__)
    return f"{ranks[0]:.0f}, {ranks[lowest]:.1f}, {max(ranks[lowest:]):.1f}, {ranks[-1]:.1f}"


def cell(row: dict, digits: int) -> str:
    value = row["mean"]
    if not value:
        return ""
    text = f"{value['mean']:.{digits}f}"
    if difference := row["difference"]:
        text += f" ({difference['mean']:+.{digits}f}"
        if interval := difference.get("interval"):
            low, high = interval
            text += f" [{low:+.{digits}f}, {high:+.{digits}f}]"
        p = difference.get("p_value")
        text += ")" + ("*" if p is not None and p < 0.05 else "")
    return text.replace("-", "−")


def rows(report: Path) -> list[str]:
    found = json.loads(report.read_text())
    curves: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    with (report.parent / "curves.csv").open() as file:
        for row in csv.DictReader(file):
            if row["effective_rank"]:
                curves[row["arm"]][int(row["step"])].append(float(row["effective_rank"]))
    measures = {it["key"]: it for it in found["results"]}
    lines = []
    for index, arm in enumerate(found["arms"]):
        ranks = [mean(values) for _, values in sorted(curves[arm["name"]].items())]
        cells = [
            cell(measures[key]["rows"][index], digits) if key in measures else ""
            for key, _, digits in MEASURES
        ]
        name = f"{report.parent.name}, {arm['steps']:,} steps" if index == 0 else ""
        lines.append("| " + " | ".join([name, arm["name"], rank_over_the_run(ranks), *cells]) + " |")
    return lines


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "search")
    titles = ["comparison", "arm", "rank over the run", *(title for _, title, _ in MEASURES)]
    print("| " + " | ".join(titles) + " |")
    print("| --- | --- | ---: |" + " ---: |" * len(MEASURES))
    for report in sorted(folder.glob("labs/*/report.json"), key=lambda it: it.stat().st_mtime):
        print("\n".join(rows(report)))


main()
