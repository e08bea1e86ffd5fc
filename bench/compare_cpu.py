"""Times the CPU training step of `nitp` beside that of PyTorch eager.

Both sides train the same configuration on the same number of threads, in turns, so that a machine
that others use too slows both. Speeds are tokens a second of the median step; start-up is in none.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BINARY = ROOT / "target/release/nitp"
SCRIPT = ROOT / "bench/pytorch_step.py"
CORPUS = ROOT / "demo-data/corpus.jsonl"

# Measured steps of a round.
STEPS = {"small": 8, "small-moe": 8}
OTHER_STEPS = 40

# Steps alone: nothing else in between.
SETTINGS = ("train.eval_interval=0", "train.geometry_interval=0", "train.checkpoint_interval=0")


@dataclass
class Comparison:
    """Tokens a second, one number a round."""

    preset: str
    steps: int
    nitp: list[float] = field(default_factory=list)
    pytorch: list[float] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        return [ours / theirs for ours, theirs in zip(self.nitp, self.pytorch, strict=True)]

    def to_dict(self) -> dict[str, Any]:
        ratios = self.ratios
        return {
            "preset": self.preset,
            "steps": self.steps,
            "nitp": self.nitp,
            "pytorch": self.pytorch,
            "nitp_median": statistics.median(self.nitp),
            "pytorch_median": statistics.median(self.pytorch),
            "ratio_median": statistics.median(ratios),
            "ratio_min": min(ratios),
            "ratio_max": max(ratios),
        }


class Bench:
    def __init__(self, args: argparse.Namespace) -> None:
        self.binary, self.skip, self.sets = args.binary, args.skip, args.sets
        self.threads = args.threads
        threads = str(args.threads)
        self.environment = os.environ | {"RAYON_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}

    def run(self, command: list[str | Path]) -> str:
        done = subprocess.run(
            command, env=self.environment, cwd=ROOT, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            text = " ".join(map(str, command))
            raise SystemExit(f"{text}\nfailed:\n{done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def nitp(self, preset: str, steps: int, config: Path) -> float:
        """One run of ours; leaves its configuration in the file `config`."""
        with tempfile.TemporaryDirectory(prefix="nitp-bench-") as folder:
            run = Path(folder, "run")
            command = [self.binary, "train", "--preset", preset, "--device", "cpu"]
            command += ["--steps", str(self.skip + steps), "--data", CORPUS, "--out", run]
            for setting in (*SETTINGS, *self.sets):
                command += ["--set", setting]
            self.run(command)
            config.write_text((run / "config.toml").read_text())
            lines = (run / "metrics.jsonl").read_text().splitlines()
        events = [event for event in map(json.loads, lines) if event["event"] == "step"]
        return statistics.median(event["tokens_per_second"] for event in events[self.skip :])

    def pytorch(self, steps: int, config: Path) -> float:
        command = [sys.executable, SCRIPT, config, "--steps", str(steps)]
        command += ["--skip", str(self.skip), "--threads", str(self.threads)]
        report = json.loads(self.run(command))
        if report["threads"] != self.threads:
            raise SystemExit(f"PyTorch took {report['threads']} threads, not {self.threads}")
        return report["tokens_per_second"]

    def compare(self, preset: str, steps: int, rounds: int) -> Comparison:
        comparison = Comparison(preset, steps)
        with tempfile.TemporaryDirectory(prefix="nitp-bench-") as folder:
            config = Path(folder, "config.toml")
            for number in range(rounds):
                # Who begins changes with the round; the first one writes the configuration.
                sides = [
                    lambda: comparison.nitp.append(self.nitp(preset, steps, config)),
                    lambda: comparison.pytorch.append(self.pytorch(steps, config)),
                ]
                for side in sides if number % 2 == 0 else reversed(sides):
                    side()
                ours, theirs = comparison.nitp[-1], comparison.pytorch[-1]
                print(
                    f"{preset}, round {number + 1} of {rounds}: nitp {ours:,.0f}, "
                    f"PyTorch {theirs:,.0f} tokens/s, ratio {ours / theirs:.2f}",
                    file=sys.stderr,
                )
        return comparison


def table(comparisons: list[Comparison]) -> str:
    lines = [
        "| preset | nitp, tokens/s | PyTorch eager, tokens/s | ratio | ratio, min to max |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for comparison in comparisons:
        it = comparison.to_dict()
        lines.append(
            f"| {it['preset']} | {it['nitp_median']:,.0f} | {it['pytorch_median']:,.0f} "
            f"| {it['ratio_median']:.2f} | {it['ratio_min']:.2f} to {it['ratio_max']:.2f} |"
        )
    return "\n".join(lines)


def positive(text: str) -> int:
    if (value := int(text)) < 1:
        raise ValueError(text)
    return value


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("presets", nargs="*", default=["tiny"], help="[tiny]")
    parser.add_argument("--rounds", type=positive, default=5, help="runs of each side [5]")
    parser.add_argument(
        "--steps", type=positive, help=f"measured in a run [{OTHER_STEPS}; small models: 8]"
    )
    parser.add_argument("--skip", type=positive, default=3, help="steps before them [3]")
    parser.add_argument(
        "--threads", type=positive, default=os.cpu_count() or 1, help="of either side [all]"
    )
    parser.add_argument(
        "--set", dest="sets", action="append", default=[], metavar="SECTION.KEY=VALUE",
        help="for both sides, as in `nitp train`",
    )
    parser.add_argument("--binary", type=Path, default=BINARY, help="[target/release/nitp]")
    parser.add_argument("--json", action="store_true", help="the numbers instead of the table")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    args.binary = args.binary.resolve()
    if not args.binary.is_file():
        raise SystemExit(f"{args.binary} is missing: run `cargo build --release -p native`")
    if importlib.util.find_spec("torch") is None:
        raise SystemExit(
            f"{sys.executable} has no torch: run `pip install -r bench/requirements.txt` in a "
            "virtual environment (bench/README.md)"
        )
    bench = Bench(args)
    comparisons = [
        bench.compare(preset, args.steps or STEPS.get(preset, OTHER_STEPS), args.rounds)
        for preset in args.presets
    ]
    if args.json:
        results = [comparison.to_dict() for comparison in comparisons]
        print(json.dumps({"threads": args.threads, "sets": args.sets, "results": results}))
    else:
        print(f"{args.threads} threads, medians of {args.rounds} rounds\n\n{table(comparisons)}")


if __name__ == "__main__":
    main()
