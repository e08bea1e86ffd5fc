"""The table of `bench/gpu.sh`, from the folder that it left: ours, PyTorch's, and the aims."""

import argparse
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HEADER = ("", "ours", "theirs, or the ceiling", "ratio", "at least", "aim")
NOT_MEASURED = "not measured"

PRODUCTS = ("matmul", "grouped_matmul")

Cells = tuple[str, str, str]


class NotMeasured(Exception):
    """A step of this name failed, or was left out."""


@dataclass
class Ops:
    """Those of a step that are alike, together."""

    seconds: float
    flops: float
    # The time that the ceilings allow, as a part of theirs.
    share: float


class Results:
    """What each step printed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # The newest of a name is the last.
        lines = (folder / "steps.tsv").read_text().splitlines()
        self.codes = {name: int(code) for name, code, _ in (line.split("\t") for line in lines)}

    def text(self, name: str) -> str:
        path = self.folder / f"{name}.out"
        return path.read_text() if path.is_file() else ""

    def json(self, name: str) -> Any:
        if self.codes.get(name) != 0:
            raise NotMeasured(name)
        try:
            return json.loads(self.text(name))
        except json.JSONDecodeError as error:
            raise NotMeasured(name) from error

    def ours(self, name: str) -> float:
        """Tokens a second of the median step."""
        preset = self.json(f"nitp-{name}")["presets"][0]
        return preset["tokens"] / preset["seconds_median"]

    def theirs(self, name: str) -> float:
        return self.json(f"torch-{name}")["tokens_per_second_median"]

    def ceiling(self) -> float:
        """FLOP/s of multiply-adds of f32 in registers."""
        return 1e9 * self.json("nitp-small-f32")["ceiling_gflops"]

    def ops(self, name: str, wanted: Callable[[str], bool]) -> Ops:
        rows = [row for row in self.json(f"nitp-{name}")["presets"][0]["ops"] if wanted(row["op"])]
        if not rows:
            raise NotMeasured(name)
        times = [row["calls"] * row["seconds_median"] for row in rows]
        pairs = list(zip(rows, times, strict=True))
        flops = sum(1e9 * row["gflops"] * time for row, time in pairs)
        share = sum(row["percent_of_ceiling"] * time for row, time in pairs) / sum(times) / 100
        return Ops(sum(times), flops, share)


def is_product(op: str) -> bool:
    """With an epilogue or without."""
    return op.startswith(PRODUCTS)


def steps(results: Results, ours: str, theirs: str) -> Cells:
    a, b = results.ours(ours), results.theirs(theirs)
    return f"{a:,.0f} tokens/s", f"{b:,.0f} tokens/s", f"{a / b:.2f}"


def products(results: Results) -> Cells:
    ops = results.ops("small-f32", is_product)
    return teraflops(ops.flops / ops.seconds), teraflops(results.ceiling()), percent(ops.share)


def attention(results: Results, op: str, precision: str) -> Cells:
    ops, ceiling = results.ops(f"small-{precision}", lambda name: name == op), results.ceiling()
    speed = ops.flops / ops.seconds
    return teraflops(speed), teraflops(ceiling), percent(speed / ceiling)


def product(results: Results) -> Cells:
    rows = [row for row in results.json("nitp-product") if row["storage"] == "a b"]
    best = max(rows, key=lambda row: row["gflops"])
    return f"{teraflops(1e9 * best['gflops'])} (`{best['variant']}`)", "", ""


def gain(results: Results) -> Cells:
    mixed, f32 = results.ours("small-mixed"), results.ours("small-f32")
    return f"{mixed:,.0f} tokens/s", f"{f32:,.0f} tokens/s", f"{mixed / f32:.2f}"


def percent(part: float) -> str:
    return f"{100 * part:.0f} %"


def teraflops(speed: float) -> str:
    return f"{speed / 1e12:.3g} TFLOP/s"


SMALL, WIDE = "`small`, 32 x 256", "width 768, 12 blocks, 8 x 1024"

ROWS: list[tuple[str, Callable[[Results], Cells], str, str]] = [
    (f"{SMALL}, f32, against PyTorch f32",
     lambda it: steps(it, "small-f32", "small-f32"), "1.0", "1.2"),
    (f"{WIDE}, f32, against PyTorch f32",
     lambda it: steps(it, "wide-f32", "wide-f32"), "1.0", "1.1"),
    (f"{SMALL}, mixed, against PyTorch bf16",
     lambda it: steps(it, "small-mixed", "small-bf16"), "0.8", "1.3"),
    (f"{SMALL}, mixed, against PyTorch bf16 compiled",
     lambda it: steps(it, "small-mixed", "small-compiled-bf16"), "", ""),
    (f"{WIDE}, mixed, against PyTorch bf16",
     lambda it: steps(it, "wide-mixed", "wide-bf16"), "0.7", "1.0"),
    ("`small-moe`, 16 x 256, mixed, against PyTorch's loop in bf16",
     lambda it: steps(it, "moe-mixed", "moe-bf16"), "8", "12"),
    ("product of 4096 x 4096 x 4096, f16 with f32 sums", product, "200 TFLOP/s", "350 TFLOP/s"),
    (f"{SMALL}, f32: products, of the ceilings", products, "70 %", "80 %"),
    *[
        (f"{SMALL}, {precision}: {words}, of the f32 ceiling",
         lambda it, op=op, precision=precision: attention(it, op, precision), least, aim)
        for precision in ("f32", "mixed")
        for op, words, least, aim in (
            ("attention", "attention", "45 %", "100 %"),
            ("attention_backward", "its backward", "35 %", "80 %"),
        )
    ],
    (f"{SMALL}, mixed against f32, whole step", gain, "2.5", "4"),
]  # fmt: skip


def table(results: Results) -> Iterable[str]:
    yield f"| {' | '.join(HEADER)} |"
    yield "| --- |" + " ---: |" * (len(HEADER) - 1)
    for words, cells, least, aim in ROWS:
        try:
            measured = cells(results)
        except NotMeasured as missing:
            measured = (f"{NOT_MEASURED}: {missing}.log", "", "")
        yield f"| {' | '.join((words, *measured, least, aim))} |"


def tests(results: Results, part: str) -> str:
    text = results.text(f"tests-{part}")
    failed = re.findall(r"^test (\S+) \.\.\. FAILED", text, re.MULTILINE)
    words = f"{len(re.findall(r'^test .* ok$', text, re.MULTILINE))} passed, {len(failed)} failed"
    if "test result: " not in text:
        words += f", and did not come to their end (tests-{part}.log)"
    return f"Tests of {part}: {words}{': ' if failed else ''}{', '.join(failed)}."


def device(results: Results, name: str) -> str:
    try:
        return results.json(name)["device"]
    except NotMeasured:
        return NOT_MEASURED


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quick", action="store_true", help="say that the sizes were toys")
    args = parser.parse_args()
    results = Results(args.folder)
    if args.quick:
        print("**Toy sizes, whatever the rows say: these numbers mean nothing.**\n")
    print(f"Ours on {device(results, 'nitp-small-f32')},")
    print(f"PyTorch on {device(results, 'torch-small-f32')}.")
    print(f"{tests(results, 'ops')} {tests(results, 'model')}\n")
    print("\n".join(table(results)))


if __name__ == "__main__":
    main()
