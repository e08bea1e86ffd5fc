"""Times the CPU training step of `nitp` beside that of PyTorch eager.

Both sides train the same configuration on the same number of threads, in turns, so that a machine
that others use too slows both. Speeds are tokens a second of the median step; start-up is in none.
On a busy machine no median is worth anything: PyTorch loses far more than its share, most likely
because its threads wait for one another by spinning. A warning tells.
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


# Rounds further apart than this factor were disturbed.
CALM = 1.3

# A load before the start that is no idle machine's.
BUSY = 0.5


@dataclass
class Comparison:
    """Tokens a second of each round's median step, and of its fastest."""

    preset: str
    steps: int
    nitp: list[float] = field(default_factory=list)
    pytorch: list[float] = field(default_factory=list)
    nitp_best: list[float] = field(default_factory=list)
    pytorch_best: list[float] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        return [ours / theirs for ours, theirs in zip(self.nitp, self.pytorch, strict=True)]

    @property
    def is_calm(self) -> bool:
        return all(max(speeds) < CALM * min(speeds) for speeds in (self.nitp, self.pytorch))

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
            "best_step_ratio": max(self.nitp_best) / max(self.pytorch_best),
            "is_calm": self.is_calm,
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

    def nitp(self, preset: str, steps: int, config: Path) -> list[float]:
        """Speed of each step of a run of ours; its configuration goes to the file `config`."""
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
        return [event["tokens_per_second"] for event in events[self.skip :]]

    def pytorch(self, steps: int, config: Path) -> dict[str, Any]:
        command = [sys.executable, SCRIPT, config, "--json", "--rounds", str(steps)]
        command += ["--skip", str(self.skip), "--threads", str(self.threads)]
        report = json.loads(self.run(command))
        if report["threads"] != self.threads:
            raise SystemExit(f"PyTorch took {report['threads']} threads, not {self.threads}")
        return report

    def compare(self, preset: str, steps: int, rounds: int) -> Comparison:
        comparison = Comparison(preset, steps)
        with tempfile.TemporaryDirectory(prefix="nitp-bench-") as folder:
            config = Path(folder, "config.toml")
            def ours() -> None:
                speeds = self.nitp(preset, steps, config)
                comparison.nitp.append(statistics.median(speeds))
                comparison.nitp_best.append(max(speeds))

            def theirs() -> None:
                report = self.pytorch(steps, config)
                speed = report["tokens_per_second_median"]
                comparison.pytorch.append(speed)
                comparison.pytorch_best.append(
                    speed * report["seconds_median"] / report["seconds_min"]
                )

            for number in range(rounds):
                # Who begins changes with the round; the first one writes the configuration.
                for side in (ours, theirs) if number % 2 == 0 else (theirs, ours):
                    side()
                print(
                    f"{preset}, round {number + 1} of {rounds}: "
                    f"nitp {comparison.nitp[-1]:,.0f}, PyTorch {comparison.pytorch[-1]:,.0f} "
                    f"tokens/s, ratio {comparison.ratios[-1]:.2f}",
                    file=sys.stderr,
                )
        if not comparison.is_calm:
            print(
                f"warning: {preset}: rounds of one side differ by more than {CALM}x. Something "
                "else ran here: these numbers say nothing, run again on an idle machine",
                file=sys.stderr,
            )
        return comparison


def table(comparisons: list[Comparison]) -> str:
    lines = [
        "| preset | nitp, tokens/s | PyTorch, tokens/s | ratio | min to max | of best steps |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for comparison in comparisons:
        it = comparison.to_dict()
        lines.append(
            f"| {it['preset']} | {it['nitp_median']:,.0f} | {it['pytorch_median']:,.0f} "
            f"| {it['ratio_median']:.2f} | {it['ratio_min']:.2f} to {it['ratio_max']:.2f} "
            f"| {it['best_step_ratio']:.2f} |"
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
    if hasattr(os, "getloadavg") and (load := os.getloadavg()[0]) > BUSY:
        print(f"warning: load {load:.1f}: something else runs, or did just now", file=sys.stderr)
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
