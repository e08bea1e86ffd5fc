"""Compares what TensorBoard's own reader finds in a run's folder with the run's metrics.jsonl.

    python read.py RUN

Exits with 1 where a step is missing, doubled or has another value than the log, rounded to 32 bits.
"""

import json
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

Curves = dict[str, list[tuple[int, float]]]


def logged(run: Path) -> Curves:
    """What should be found, by tag."""
    config = tomllib.loads((run / "config.toml").read_text(encoding="utf-8"))
    nitp, moe = config["nitp"]["enabled"], "moe" in config["model"]
    curves: Curves = defaultdict(list)
    for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        values = {}
        match event["event"]:
            case "step":
                values = {
                    "loss/train": event["ntp_loss"],
                    "nitp/train": event["nitp_loss"] if nitp else None,
                    "balance/train": event["balance_loss"] if moe else None,
                    "grad_norm": event["grad_norm"],
                    "learning_rate": event["learning_rate"],
                    "tokens_per_second": event.get("tokens_per_second"),
                }
            case "evaluation":
                values = {
                    "loss/held_out": event["val_loss"],
                    "nitp/held_out": event["nitp_loss"] if nitp else None,
                    "balance/held_out": event["balance_loss"] if moe else None,
                }
                for block, load in enumerate(event.get("expert_load", []), start=1):
                    values[f"expert_load/block_{block}/max"] = max(load)
                    values[f"expert_load/block_{block}/min"] = min(load)
            case "geometry":
                values = {key: event[key] for key in ("effective_rank", "mean_cosine")}
        for tag, value in values.items():
            if value is not None:
                curves[tag].append((event["step"], float(np.float32(value))))
    return curves


def found(run: Path) -> Curves:
    """What TensorBoard's reader finds, by tag."""
    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [(it.step, it.value) for it in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def main() -> int:
    run = Path(sys.argv[1])
    right, read = logged(run), found(run)
    failures = 0
    for tag in sorted(right.keys() | read.keys()):
        same = right.get(tag) == read.get(tag)
        failures += not same
        print(f"{tag:<28}{len(read.get(tag, [])):>6} of {len(right.get(tag, [])):<6}{'' if same else 'DIFFERS'}")
    files = len(list((run / "tensorboard").iterdir()))
    print(f"{len(right)} tags in {files} file(s): {'the same as in metrics.jsonl' if not failures else 'NOT the same'}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
