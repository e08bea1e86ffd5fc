"""Replays a file of `nitp trace` in PyTorch and says how far apart the two are.

    python check_trace.py FILE.safetensors

The replay in float64 is what counts; a second one in float32 shows what rounding alone does. Exit
code 1 where the first step's losses or gradients are more than 1e-5 apart, or the curves or the
final parameters more than 1e-4.
"""

import argparse
from pathlib import Path

import torch

from model import parameter_shapes
from trace import Comparison, Trace, compare, load, run

TOLERANCE = {"first": 1e-5, "grad": 1e-5, "curves": 1e-4, "final": 1e-4}
TITLES = {
    "first": "losses and gradient norm of the first step",
    "grad": "gradients of the first step, worst parameter",
    "curves": "curves of all steps, worst of them",
    "final": "final parameters, worst parameter",
}


def check_shapes(trace: Trace) -> None:
    """The parameters must be those of the configuration, no more and no fewer."""
    found = {name: tuple(x.shape) for name, x in trace.init.items()}
    expected = parameter_shapes(trace.config)
    if wrong := sorted(n for n in found.keys() | expected if found.get(n) != expected.get(n)):
        rows = [f"  init/{n}: found {found.get(n)}, expected {expected.get(n)}" for n in wrong]
        raise SystemExit("\n".join(["the file's parameters are not those of its config:", *rows]))


def report(trace: Comparison, rounding: Comparison) -> bool:
    """Prints a row for each kind of number; whether all are near enough."""
    print(f"{'relative distance from PyTorch float64':<46} {'trace':>9} {'float32':>9} {'limit':>9}")
    near = True
    for kind, limit in TOLERANCE.items():
        distances = getattr(trace, kind)
        worst = max(distances, key=lambda name: distances[name])
        passes = distances[worst] <= limit
        near &= passes
        print(
            f"{TITLES[kind]:<46} {distances[worst]:9.1e} {rounding.worst[kind]:9.1e} {limit:9.0e}"
            + ("" if passes else f"  too far: {worst}")
        )
    return near


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    trace = load(parser.parse_args().file)
    check_shapes(trace)
    exact, rounded = (
        run(trace.config, trace.init, trace.inputs, dtype)
        for dtype in (torch.float64, torch.float32)
    )
    raise SystemExit(0 if report(compare(trace, exact), compare(rounded, exact)) else 1)


if __name__ == "__main__":
    main()
