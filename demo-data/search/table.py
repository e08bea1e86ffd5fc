#!/usr/bin/env python3
"""What the comparisons of a search say, as a Markdown table: table.py FOLDER, that which holds `labs`.

A row an arm, means over seeds. Rank over the run: untrained, lowest, highest after the lowest, last. Where the last is
well below the highest, states lose directions late. Behind a number, in brackets: the paired difference from the first
arm, with a star where its p-value is below 0.05.
"""

import csv
import json
import sys
from collections import defaultdict
from pathlib import Path
from statistics import mean

KEYS = [("val_loss", "loss", 3), ("bits_per_byte", "bits a byte", 3), ("effective_rank", "rank", 1),
        ("mean_cosine", "cosine", 3), ("probe", "probe", 1), ("task_next_acc", "next", 1)]

print("| comparison | arm | steps | rank over the run | " + " | ".join(title for _, title, _ in KEYS) + " |")
print("| --- | --- | ---: | ---: |" + " ---: |" * len(KEYS))
for report in sorted(Path(sys.argv[1]).glob("labs/*/report.json"), key=lambda it: it.stat().st_mtime):
    found = json.loads(report.read_text())
    curves = defaultdict(lambda: defaultdict(list))
    with (report.parent / "curves.csv").open() as file:
        for row in csv.DictReader(file):
            if row["effective_rank"]:
                curves[row["arm"]][int(row["step"])].append(float(row["effective_rank"]))
    metrics = {it["key"]: it for it in found["results"]}
    for index, arm in enumerate(found["arms"]):
        ranks = [mean(values) for _, values in sorted(curves[arm["name"]].items())]
        low = min(range(len(ranks)), key=ranks.__getitem__) if ranks else 0
        # From the lowest of the first half on.
        half = ranks[: max(1, len(ranks) // 2)]
        start = half.index(min(half)) if half else 0
        way = f"{ranks[0]:.0f}, {ranks[low]:.1f}, {max(ranks[start:]):.1f}, {ranks[-1]:.1f}" if ranks else ""
        cells = []
        for key, _, digits in KEYS:
            row = metrics[key]["rows"][index] if key in metrics else None
            value = row and row["mean"]
            if not value:
                cells.append("")
                continue
            cell = f"{value['mean']:.{digits}f}"
            if difference := row["difference"]:
                p = difference.get("p_value")
                cell += f" ({difference['mean']:+.{digits}f}{'*' if p is not None and p < 0.05 else ''})"
            cells.append(cell)
        steps = f"{arm['steps']:,}"
        print(f"| {report.parent.name} | {arm['name']} | {steps} | {way} | " + " | ".join(cells) + " |")
