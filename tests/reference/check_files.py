#!/usr/bin/env python3
"""Writes files of text as other programs do, and compares what `nitp` reads from them with what was written.

    python3 tests/reference/check_files.py [--nitp target/release/nitp] [--show]

Needs pyarrow, pandas, tokenizers and zstandard. Where polars, duckdb, fastparquet or datasets are installed, they write
files too. Files that hold no text must give an error, which names the file and what is wrong: `--show` prints these.

Documents are compared through `tokenizer encode`, with a tokenizer that puts a character before each document. Token
ids are compared through the cache of `train --steps 1`. Exits with 1 where something differs.
"""

import argparse
import csv
import gzip
import importlib.util
import io
import itertools
import json
import os
import struct
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

ROOT = Path(__file__).parents[2]
MARK = "\x01"
TEXTS = [
    "The tide turns.",
    'A "quoted" word, a comma; a semicolon\tand a tab',
    "two\nlines\r\nand a third\rand a fourth",
    "Früh am Morgen, 潮が満ちる, прилив, 🌊👩‍🚀",
    " leading and trailing ",
    "NaN",
    "null",
    "a\u2028b\u2029c\u0085d\u00a0e\ufefff",
    "a zero \x00 byte",
    '"',
    "'",
    "\\n is no line break, and \\ no escape",
    "#no comment",
    "=1+2",
    "word " * 5000,
    "the end",
]
DATA_PAGE = {"data_page_size": 64}


def tokenizer(path: Path) -> None:
    """Bytes, with `MARK` before each document."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    letters = {byte: chr(byte) for byte in shown} | {byte: chr(256 + n) for n, byte in enumerate(hidden)}
    it = Tokenizer(models.BPE({letters[byte]: byte for byte in range(256)}, []))
    it.normalizer = normalizers.Prepend(MARK)
    it.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    it.save(str(path))


class Checks:
    """Runs the program on files and counts differences."""

    def __init__(self, nitp: Path, folder: Path, show: bool) -> None:
        self.nitp, self.folder, self.show = nitp, folder, show
        self.count, self.wrong, self.group = 0, 0, ""
        self.files = itertools.count()
        tokenizer(folder / "marks.json")

    def begin(self, group: str) -> None:
        self.end()
        self.group, self.count = group, 0

    def end(self) -> None:
        if self.group:
            print(f"{self.group}: {self.count} checks", flush=True)

    def path(self, name: str) -> Path:
        """A new path with this name."""
        path = self.folder / f"{next(self.files)}" / name
        path.parent.mkdir()
        return path

    def run(self, *arguments: object, pipe: bytes | None = None) -> subprocess.CompletedProcess:
        environment = os.environ | {"NITP_CACHE_DIR": str(self.folder / "cache")}
        command = [str(self.nitp), *map(str, arguments)]
        return subprocess.run(command, input=pipe, capture_output=True, env=environment)

    def failed(self, what: str, why: str) -> None:
        self.wrong += 1
        print(f"  DIFFERS: {what}: {why}")

    def encode(self, data: Path | bytes, options: tuple[str, ...]) -> tuple[subprocess.CompletedProcess, Path]:
        out = self.path("ids.npy")
        pipe = data if isinstance(data, bytes) else None
        shown = "-" if pipe is not None else data
        return self.run(
            "tokenizer", "encode", self.folder / "marks.json", "--data", shown, "--out", out, *options, pipe=pipe
        ), out

    def good(self, what: str, data: Path | bytes, texts: list[str], *options: str, warning: str = "") -> None:
        """That `data`, a path or the bytes of a pipe, is read as `texts`."""
        self.count += 1
        done, out = self.encode(data, options)
        if done.returncode:
            return self.failed(what, done.stderr.decode().strip())
        found = bytes(np.load(out).astype(np.uint8)).decode().split(MARK)[1:]
        expected = [text for text in texts if text]
        if found != expected:
            pair = next((pair for pair in itertools.zip_longest(found, expected) if pair[0] != pair[1]), None)
            self.failed(what, f"{len(found)} documents for {len(expected)}, {str(pair)[:300]}")
        if not done.stdout.decode().startswith(f"{len(texts):,} document"):
            self.failed(what, done.stdout.decode().strip())
        if warning not in done.stderr.decode() or bool(warning) != bool(done.stderr):
            self.failed(what, f"expected the warning {warning!r}, not {done.stderr.decode()!r}")

    def bad(self, what: str, data: Path | bytes, *parts: str, options: tuple[str, ...] = ()) -> None:
        """That `data` gives an error with these parts and the name of the file."""
        self.count += 1
        done, _ = self.encode(data, options)
        self.message(what, done, data, parts)

    def message(self, what: str, done: subprocess.CompletedProcess, data: Path | bytes, parts: tuple[str, ...]) -> None:
        text = done.stderr.decode().strip()
        if self.show:
            print(f"  {what}: {text.replace(str(self.folder), '')}")
        if done.returncode != 1:
            return self.failed(what, f"exit code {done.returncode}, {done.stdout.decode()}{text}")
        name = "the standard input" if isinstance(data, bytes) else data.name
        for part in (name, *parts):
            if part not in text:
                self.failed(what, f"no {part!r} in the message: {text}")

    def train(self, data: list[Path], tokenizer: Path, end: str, vocab_size: int) -> subprocess.CompletedProcess:
        for cached in (self.folder / "cache").glob("*.tokens"):
            cached.unlink()
        sets = {
            "data.tokenizer": tokenizer,
            "data.end_of_text": end,
            "model.vocab_size": vocab_size,
            "train.batch_size": 1,
            "train.context_length": 16,
            "train.eval_batches": 1,
            "data.validation_fraction": 0.1,
        }
        options = [part for key, value in sets.items() for part in ("--set", f"{key}={value}")]
        out = self.path("run")
        return self.run(
            "train", "--preset", "nano", "--device", "cpu", "--steps", 1, *options, "--out", out, "--data", *data
        )

    def ids(self, what: str, data: list[Path], documents: list[list[int]], *tokens: object) -> None:
        """That the ids in files are read as `documents`, each behind the last one's end-of-text token."""
        self.count += 1
        done = self.train(data, *tokens)
        if done.returncode:
            return self.failed(what, done.stderr.decode().strip())
        (cached,) = (self.folder / "cache").glob("*.tokens")
        content = cached.read_bytes()
        count, starts, _ = struct.unpack_from("<3Q", content, 8)
        found = np.frombuffer(content, np.uint32, count, 64 + 8 * starts)
        expected = np.concatenate(documents)
        if not np.array_equal(found, expected):
            self.failed(what, f"{len(found)} ids for {len(expected)}: {found[:20]} for {expected[:20]}")
        begins = np.frombuffer(content, np.uint64, starts, 64)
        if not np.array_equal(begins, np.cumsum([0, *map(len, documents)])[:-1]):
            self.failed(what, f"documents begin at {begins[:20]}")

    def bad_ids(self, what: str, data: Path, tokens: tuple, *parts: str) -> None:
        self.count += 1
        self.message(what, self.train([data], *tokens), data, parts)


def parquet(checks: Checks) -> None:
    checks.begin("Parquet by pyarrow")
    rows: list[str | None] = [TEXTS[0], None, *TEXTS[1:], "", None]
    kept = [text for text in rows if text is not None]
    numbers = list(range(len(rows)))
    nested = [{"source": "web", "lines": [n, n + 1], "deep": {"text": f"inner {n}"}} for n in numbers]
    lists = [[{"text": "in a list"}] * (n % 3) for n in numbers]
    kinds = {
        "string": pa.string(),
        "large_string": pa.large_string(),
        "string_view": pa.string_view(),
        "binary": pa.binary(),
        "dictionary": pa.dictionary(pa.int32(), pa.string()),
        "dictionary of large strings": pa.dictionary(pa.int8(), pa.large_string()),
        "json": pa.json_(),
    }

    def table(kind: pa.DataType, name: str = "text") -> pa.Table:
        if isinstance(kind, pa.DictionaryType):
            column = pa.array(rows, kind.value_type).dictionary_encode().cast(kind)
        elif isinstance(kind, pa.JsonType):
            column = pa.ExtensionArray.from_storage(kind, pa.array(rows, kind.storage_type))
        else:
            column = pa.array([text and text.encode() for text in rows] if kind == pa.binary() else rows, kind)
        return pa.table({"id": numbers, "meta": nested, "lists": lists, name: column})

    def written(name: str, value: pa.Table, **options: object) -> Path:
        path = checks.path(name)
        pq.write_table(value, path, **options)
        return path

    codecs = ["none", "snappy", "gzip", "zstd", "lz4"]
    for (kind, it), codec, version in itertools.product(kinds.items(), codecs, ["1.0", "2.0"]):
        path = written("a.parquet", table(it), compression=codec, data_page_version=version, row_group_size=5)
        checks.good(f"{kind}, {codec}, pages of version {version}", path, kept, warning="2 rows without a value (null)")
    whole = table(pa.string())
    ways = {
        "format 1.0": {"version": "1.0"},
        "format 2.4": {"version": "2.4"},
        "no Arrow schema": {"store_schema": False},
        "small pages": DATA_PAGE | {"write_batch_size": 1},
        "one row a page": {"max_rows_per_page": 1},
        "content defined chunks": {"use_content_defined_chunking": True},
        "one row a group": {"row_group_size": 1},
        "a dictionary that becomes too large": {"dictionary_pagesize_limit": 64, "write_batch_size": 1},
        "no statistics, checksums, an index": {
            "write_statistics": False,
            "write_page_checksum": True,
            "write_page_index": True,
        },
        "a bloom filter": {"bloom_filter_options": {"text": {"ndv": 100, "fpp": 0.01}}},
        "flavor spark": {"flavor": "spark"},
    }
    for what, options in ways.items():
        checks.good(what, written("a.parquet", whole, **options), kept, warning="2 rows")
    for encoding, version in itertools.product(
        ["PLAIN", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"], ["1.0", "2.0"]
    ):
        options = {"use_dictionary": False, "column_encoding": {"text": encoding}, "data_page_version": version}
        checks.good(encoding, written("a.parquet", whole, **options), kept, warning="2 rows")
        checks.good(
            f"{encoding}, small pages",
            written("a.pq", whole, **options, **DATA_PAGE, write_batch_size=2),
            kept,
            warning="2 rows",
        )

    required = pa.table([pa.array(TEXTS)], pa.schema([pa.field("text", pa.string(), nullable=False)]))
    checks.good("a required column", written("a.parquet", required), TEXTS)
    checks.good("a name of other letters", written("a.PARQUET", required), TEXTS)
    path = written("a.parquet", required)
    checks.good("a pipe", path.read_bytes(), TEXTS)
    checks.good("a file without the ending", path.rename(path.with_name("part-00000")), TEXTS)
    checks.good("the column content", written("a.parquet", table(pa.string(), "content")), kept, warning="2 rows")
    named = written("a.parquet", table(pa.string(), "der Text"))
    checks.good("a column by its name", named, kept, "--text-column", "der Text", warning="2 rows")
    inner = [row["deep"]["text"] for row in nested]
    checks.good("a column in a struct", written("a.parquet", whole), inner, "--text-column", "meta.deep.text")
    holes = [None if n % 4 == 0 else row for n, row in enumerate(nested)]
    holes = pa.table({"meta": pa.array(holes, whole["meta"].type)})
    expected = [text for n, text in enumerate(inner) if n % 4]
    checks.good(
        "a column in a struct with nulls",
        written("a.parquet", holes),
        expected,
        "--text-column",
        "meta.deep.text",
        warning="rows without",
    )
    path = checks.path("a.parquet")
    with pq.ParquetWriter(path, required.schema) as writer:
        for part in (required.slice(0, 3), required.slice(0, 0), required.slice(3)):
            writer.write_table(part)
    checks.good("an empty group between others", path, TEXTS)
    nulls = pa.table({"text": pa.array([None] * 500 + TEXTS + [None] * 500)})
    checks.good("groups of nulls", written("a.parquet", nulls, row_group_size=100), TEXTS, warning="1000 rows")
    many = [f"{n} tides " * (n % 50) for n in range(20_000)]
    checks.good("20,000 rows", written("a.parquet", pa.table({"text": many}), row_group_size=3000), many)
    long = ["".join(map(chr, np.random.default_rng(0).integers(32, 127, 20_000_000))), "short"]
    checks.good("a text of 20 MB", written("a.parquet", pa.table({"text": long}), compression="zstd"), long)
    parts = checks.path("parts")
    pq.write_to_dataset(
        pa.table({"text": TEXTS, "lang": ["en", "de"] * (len(TEXTS) // 2)}), parts, partition_cols=["lang"]
    )
    checks.good("a folder of partitions", parts, TEXTS[1::2] + TEXTS[::2])

    checks.begin("Parquet without a text")
    checks.bad("brotli", written("a.parquet", whole, compression="brotli"), "BROTLI", "zstd, snappy, gzip, lz4 or none")
    of_lists = pa.table({"text": [["a", "b"], ["c"]]})
    checks.bad("lists of texts", written("a.parquet", of_lists), "`text.list.element`", "--text-column")
    checks.bad(
        "lists of texts, by their name",
        written("a.parquet", of_lists),
        "lists",
        options=("--text-column", "text.list.element"),
    )
    checks.bad(
        "a map",
        written("a.parquet", pa.table({"text": pa.array([[("a", "b")]], pa.map_(pa.string(), pa.string()))})),
        "a.parquet",
    )
    checks.bad("a struct", written("a.parquet", pa.table({"text": [{"en": "a"}]})), "--text-column text.en")
    values = {
        "numbers": pa.array([1, 2]),
        "nulls alone": pa.array([None, None], pa.null()),
        "nulls of text": pa.array([None, None], pa.string()),
        "empty texts": pa.array(["", ""]),
        "dates": pa.array([0, 1], pa.date32()),
        "decimals": pa.array([1, 2], pa.decimal128(30)),
        "bytes of fixed length": pa.array([b"ab", b"cd"], pa.binary(2)),
        "bytes that are not UTF-8": pa.array([b"a", b"\xff"]),
    }
    expected = {
        "bytes that are not UTF-8": ("row 2", "UTF-8"),
        "empty texts": ("no text",),
        "nulls of text": ("no text",),
    }
    for what, column in values.items():
        checks.bad(
            what,
            written("a.parquet", pa.table({"text": column})),
            *expected.get(what, ("`text` holds", "--text-column")),
        )
    checks.bad("no rows", written("a.parquet", required.slice(0, 0)), "no text")
    checks.bad("no columns", written("a.parquet", pa.table({})), "no column")
    other = written("a.parquet", pa.table({"Text": ["a"], "body": ["b"]}))
    checks.bad("another column", other, "`text` or `content`", "`Text`, `body`", "--text-column")
    content = written("a.parquet", whole).read_bytes()
    for what, bytes_ in {"half a file": content[: len(content) // 2], "a hole": content[:100] + content[200:]}.items():
        path = checks.path("a.parquet")
        path.write_bytes(bytes_)
        checks.bad(what, path, "can't be read as Parquet")
    path = checks.path("a.parquet.gz")
    path.write_bytes(gzip.compress(content))
    checks.bad("compressed as a whole", path, "decompress it first")


def other_writers(checks: Checks) -> None:
    checks.begin("Parquet by other programs")
    frame = pd.DataFrame({"text": [*TEXTS, None], "n": range(len(TEXTS) + 1)}).sample(frac=1, random_state=0)
    texts = [text for text in frame["text"] if isinstance(text, str)]
    path = checks.path("a.parquet")
    frame.to_parquet(path)
    checks.good("pandas, with an index", path, texts, warning="1 row ")
    path = checks.path("a.parquet")
    frame.astype({"text": "category"}).to_parquet(path, compression="zstd")
    checks.good("pandas, a category", path, texts, warning="1 row ")
    names = {name for name in ("polars", "duckdb", "fastparquet", "datasets") if importlib.util.find_spec(name)}
    if "fastparquet" in names:
        warnings.simplefilter("ignore", DeprecationWarning)
        for codec in (None, "SNAPPY", "GZIP", "ZSTD", "LZ4_RAW"):
            path = checks.path("a.parquet")
            frame.astype({"text": object}).to_parquet(path, engine="fastparquet", compression=codec)
            checks.good(f"fastparquet, {codec}", path, texts, warning="1 row ")
    if "polars" in names:
        import polars

        for codec in ("uncompressed", "snappy", "gzip", "zstd", "lz4"):
            path = checks.path("a.parquet")
            data = {"text": [*texts, None], "nested": [{"a": [1]}] * len(frame)}
            polars.DataFrame(data).write_parquet(path, compression=codec, data_page_size=64, row_group_size=6)
            checks.good(f"polars, {codec}", path, texts, warning="1 row ")
    if "duckdb" in names:
        import duckdb

        plain = frame[~frame["text"].fillna("").str.contains("\x00")]
        kept = [text for text in plain["text"] if isinstance(text, str)]
        for codec, version in itertools.product(("uncompressed", "snappy", "gzip", "zstd", "lz4_raw"), ("V1", "V2")):
            path = checks.path("a.parquet")
            duckdb.sql(
                f"copy (select * from plain) to '{path}' (format parquet, codec '{codec}', parquet_version '{version}')"
            )
            checks.good(f"duckdb, {codec}, {version}", path, kept, warning="1 row ")
    if "datasets" in names:
        import datasets

        datasets.disable_progress_bars()
        data = datasets.Dataset.from_dict({"text": TEXTS, "label": [0] * len(TEXTS)})
        for kind in ("parquet", "json", "csv"):
            path = checks.path("a." + {"json": "jsonl"}.get(kind, kind))
            getattr(data, f"to_{kind}")(path)
            checks.good(f"datasets, {kind}", path, TEXTS)
    print("  written by pandas" + "".join(f", {name}" for name in sorted(names)))


def tables(checks: Checks) -> None:
    checks.begin("CSV and TSV")
    rows = [["id", "text", "note"], *([str(n), text, 'x, "y"\n'] for n, text in enumerate(TEXTS))]

    def written(name: str, encoding: str = "utf-8", **options: object) -> Path:
        path = checks.path(name)
        with path.open("w", newline="", encoding=encoding) as file:
            csv.writer(file, **options).writerows(rows)
        return path

    for what, name, options in [
        ("excel", "a.csv", {}),
        ("unix", "a.csv", {"dialect": "unix"}),
        ("line ends of \\n", "a.CSV", {"lineterminator": "\n"}),
        ("all quoted", "a.csv", {"quoting": csv.QUOTE_ALL}),
        ("text quoted", "a.csv", {"quoting": csv.QUOTE_NONNUMERIC}),
        ("with a mark", "a.csv", {"encoding": "utf-8-sig"}),
        ("with a mark, all quoted", "a.csv", {"encoding": "utf-8-sig", "quoting": csv.QUOTE_ALL}),
        ("UTF-16", "a.csv", {"encoding": "utf-16"}),
        ("tabs", "a.tsv", {"dialect": "excel-tab"}),
        ("tabs in UTF-16, as Excel writes them", "a.tab", {"dialect": "excel-tab", "encoding": "utf-16"}),
    ]:
        checks.good(what, written(name, **options), TEXTS)
    content = written("a.csv").read_bytes()
    for ending, compress in {"gz": gzip.compress, "zst": zstandard.compress}.items():
        path = checks.path(f"a.csv.{ending}")
        path.write_bytes(compress(content))
        checks.good(ending, path, TEXTS)
    for end in ("\n", "\n\n\n", "\r\n", ""):
        path = checks.path("a.csv")
        path.write_text('text\nthe tide\n"turns"' + end, newline="")
        checks.good(f"an end of {end!r}", path, ["the tide", "turns"])
    path = checks.path("a.csv")
    path.write_text("text\rthe tide\rturns\r", newline="")
    checks.good("line ends of \\r", path, ["the tide", "turns"])
    path = checks.path("a.csv")
    path.write_text("text,text\nthe tide,turns\n")
    checks.good("two columns of this name: the first", path, ["the tide"])
    frame = pd.DataFrame({"text": [*TEXTS, "", "x"], "n": range(len(TEXTS) + 2)})
    for options in ({}, {"index": False}, {"quoting": csv.QUOTE_ALL}, {"sep": "\t"}):
        path = checks.path("a.tsv" if "sep" in options else "a.csv")
        frame.to_csv(path, **options)
        checks.good(f"pandas, {options}", path, [*TEXTS, "", "x"])
    path = checks.path("a.csv")
    frame[["text"]].to_csv(path, index=False)
    checks.good("pandas, one column with an empty value", path, [*TEXTS, "", "x"])

    checks.begin("CSV without a text")
    checks.bad("semicolons", written("a.csv", delimiter=";"), "no column", "another character than ','")
    checks.bad("tabs in .csv", written("a.csv", dialect="excel-tab"), "no column", "another character than ','")
    checks.bad("no such column", written("a.csv"), "`id`, `text`, `note`", options=("--text-column", "Text"))
    for what, bytes_, parts in [
        ("Latin-1", "id,text\n1,x\n2,Früh\n".encode("latin-1"), ("line 3", "UTF-8")),
        ("a row that is too long", b"id,text\n1,x\n2,The tide, it turns\n", ("line 3", "3 values", "2 columns")),
        ("a row that is too short", b"id,text\n1,x\n2\n", ("line 3", "1 value", "2 columns")),
        ("an open quotation mark", b'id,text\n1,"x\n2,y\n', ("line 2", "quotation mark")),
        ("a header alone", b"id,text\n", ("no text",)),
        ("no header", b"1,The tide\n2,turns\n", ("no column", "The tide")),
        ("a row that is too long, line ends of \\r\\n", b"id,text\r\n1,x\r\n2,y,z\r\n", ("line 3",)),
        ("a row that is too long behind empty lines", b"id,text\n1,x\n\n\n2,y,z\n", ("line 5",)),
        # As MySQL and Python's csv with doublequote=False write it.
        ("quotation marks behind backslashes", b'id,text\n1,"a \\"b\\", c"\n', ("line 2",)),
    ]:
        path = checks.path("a.csv")
        path.write_bytes(bytes_)
        checks.bad(what, path, *parts)


def lines(checks: Checks) -> None:
    checks.begin("JSONL")

    def written(name: str, text: str | bytes) -> Path:
        path = checks.path(name)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def dumped(**options: object) -> str:
        odd = {"nan": float("nan"), "most": float("inf"), "large": 10**40, "nested": [{"text": "no"}], "none": None}
        objects = [odd | {"text": text} if n % 2 else {"text": text} | odd for n, text in enumerate(TEXTS)]
        return "".join(json.dumps(it, **options) + "\n" for it in objects)

    for name, ascii_ in itertools.product(["a.jsonl", "a.ndjson", "a.json", "a.data", "a"], [True, False]):
        checks.good(f"{name}, ensure_ascii={ascii_}", written(name, dumped(ensure_ascii=ascii_)), TEXTS)
    plain = dumped(ensure_ascii=False)
    checks.good("no spaces", written("a.jsonl", dumped(separators=(",", ":"))), TEXTS)
    checks.good("sorted keys", written("a.jsonl", dumped(sort_keys=True)), TEXTS)
    checks.good("line ends of \\r\\n", written("a.jsonl", dumped().replace("\n", "\r\n")), TEXTS)
    checks.good("empty lines, no last line end", written("a.jsonl", dumped().replace("\n", "\n\n").strip()), TEXTS)
    checks.good("with a mark", written("a.jsonl", plain.encode("utf-8-sig")), TEXTS)
    checks.good("UTF-16", written("a.jsonl", plain.encode("utf-16")), TEXTS)
    checks.good("a pipe", plain.encode(), TEXTS)
    path = checks.path("a.jsonl")
    pd.DataFrame({"text": TEXTS}).to_json(path, orient="records", lines=True)
    checks.good("pandas", path, TEXTS)
    halves = "".join(json.dumps({"text": text}) + "\n" for text in ["a\ud800b", "c"])
    checks.good("half of a surrogate pair", written("a.jsonl", halves), ["a\ufffdb", "c"], warning="1 document")

    checks.begin("compressed")
    data, half = plain.encode(), len(plain.encode()) // 2
    zst = zstandard.ZstdCompressor
    sized = zst(write_content_size=False)
    stream = io.BytesIO()
    with gzip.open(stream, "wb") as file:
        file.write(data)
    long = zstandard.ZstdCompressionParameters.from_level(3, window_log=27, enable_ldm=True)
    longest = zstandard.ZstdCompressionParameters.from_level(3, window_log=30, enable_ldm=True)
    for what, ending, packed in [
        ("gz", "gz", gzip.compress(data)),
        ("gz of several members", "gz", gzip.compress(data[:half]) + gzip.compress(data[half:]) + gzip.compress(b"")),
        ("gz with a name", "gz", stream.getvalue()),
        ("zst", "zst", zst().compress(data)),
        ("zst of level 22 with checksums", "zst", zst(level=22, write_checksum=True).compress(data)),
        ("zst without a size, of several frames", "zst", sized.compress(data[:half]) + sized.compress(data[half:])),
        ("zst with a frame to skip", "zst", struct.pack("<II", 0x184D2A50, 3) + b"abc" + zst().compress(data)),
        ("zst --long=27", "zst", zst(compression_params=long).compress(data)),
        ("zst --long=30", "zst", zst(compression_params=longest).compress(data)),
    ]:
        checks.good(what, written(f"a.jsonl.{ending}", packed), TEXTS)
        checks.good(f"{what}, a pipe", packed, TEXTS)
    checks.good("a text", written("a.txt.zst", zst().compress(b"The tide")), ["The tide"])
    checks.good("a text that is not compressed, whatever its name", written("a.txt.gz", "The tide"), ["The tide"])

    checks.begin("JSONL without a text, and what is no text")
    for what, name, text, parts in [
        ("no text", "a.jsonl", '{"text": "a"}\n{"body": "b"}\n', ("line 2", "text")),
        ("a number", "a.jsonl", '{"text": "a"}\n{"text": 1}\n', ("line 2",)),
        ("null", "a.jsonl", '{"text": "a"}\n{"text": null}\n', ("line 2",)),
        ("a list", "a.jsonl", '["a"]\n', ("line 1",)),
        ("cut short", "a.jsonl", '{"text": "a"}\n{"text": "b', ("line 2",)),
        ("an array", "a.json", '[{"text": "a"}, {"text": "b"}]\n', ("a.json",)),
        ("one object over lines", "a.json", json.dumps({"text": "a", "n": 1}, indent=2), ("a.json",)),
        ("Latin-1", "a.jsonl", '{"text": "a"}\n{"text": "Früh"}\n'.encode("latin-1"), ("UTF-8",)),
        ("gz cut short", "a.jsonl.gz", gzip.compress(data)[:-20], ("cut short",)),
        ("zst cut short", "a.jsonl.zst", zst().compress(data)[:-20], ("cut short",)),
        ("xz", "a.txt.xz", b"\xfd7zXZ\0\0\4\xe6\xd6\xb4F\2\0!\1", ()),
        ("bz2", "a.txt.bz2", b"BZh91AY&SY\x94$|\x0e", ()),
        ("zip", "a.zip", b"PK\3\4\x14\0\0\0\x08\0\xff\xfe\xfd", ()),
        ("NumPy", "a.npy", b"\x93NUMPY\1\0v\0{'descr': '<u2', }\xff\xfe", ()),
        ("Arrow", "a.arrow", b"ARROW1\0\0\xff\xff\xff\xff\x10\0\0\0", ()),
    ]:
        checks.bad(what, written(name, text), *parts)


def folders(checks: Checks) -> None:
    checks.begin("folders")
    folder = checks.path("texts")
    (folder / "b").mkdir(parents=True)
    (folder / "a.txt").write_text("The tide\nturns.\n", newline="")
    (folder / "b/c.md").write_text("# The\r\nsea", newline="")
    (folder / "b/d.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    pq.write_table(pa.table({"text": TEXTS}), folder / "b/e.parquet")
    (folder / "f.csv.gz").write_bytes(gzip.compress(b'n,text\n1,"the\nsky"\n'))
    (folder / "g.text.zst").write_bytes(zstandard.compress("Früh".encode()))
    texts = ["The tide\nturns.\n", "# The\r\nsea", *TEXTS, *TEXTS, "the\nsky", "Früh"]
    checks.good("all kinds", folder, texts)
    (folder / "h.png").write_bytes(b"\x89PNG")
    (folder / "i.bin").write_bytes(b"weights")
    (folder / ".hidden.txt").write_text("no")
    checks.good("what is skipped", folder, texts, warning="1 hidden, 1 .bin without llm.c's header (i.bin), 1 .png")
    other = checks.path("pictures")
    other.mkdir()
    (other / "h.png").write_bytes(b"\x89PNG")
    checks.bad("no text", other, "1 .png", ".jsonl")


def shards(checks: Checks) -> None:
    checks.begin("token ids")
    draw = np.random.default_rng(0)

    def words(path: Path, count: int) -> Path:
        vocabulary = {f"w{n}": n for n in range(count - 1)} | {"<|endoftext|>": count - 1}
        it = Tokenizer(models.WordLevel(vocabulary, unk_token="w0"))
        it.add_special_tokens(["<|endoftext|>"])
        it.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        it.save(str(path))
        return path

    # As dev/data/data_common.py of llm.c: 256 numbers, then the ids.
    def llm_c(name: str, ids: np.ndarray, llama: bool, count: int | None = None, version: int | None = None) -> Path:
        header = np.zeros(256, dtype=np.int32)
        header[0], header[1] = (20240801, 7) if llama else (20240520, 1)
        header[1] = header[1] if version is None else version
        header[2] = len(ids) if count is None else count
        path = checks.path(name)
        with path.open("wb") as file:
            file.write(header.tobytes())
            file.write(ids.astype(np.uint32 if llama else np.uint16).tobytes())
        return path

    def documents(size: int) -> list[list[int]]:
        return [[*draw.integers(0, size - 1, draw.integers(1, 300)).tolist(), size - 1] for _ in range(20)]

    for llama, size in ((False, 50_257), (True, 70_000)):
        tokens = words(checks.path("tokenizer.json"), size), "<|endoftext|>", size
        docs = documents(size)
        docs[3][0] = size - 2
        ids = np.concatenate(docs)
        name = "Llama 3's, 32 bits" if llama else "GPT-2's, 16 bits"
        checks.ids(f"llm.c, {name}", [llm_c("a.bin", ids, llama)], docs, *tokens)
        # As llm.c writes them, the token stands before each document; nothing is before the first.
        checks.ids(f"llm.c, {name}, the token before", [llm_c("a.bin", np.roll(ids, 1), llama)], docs, *tokens)
        two = [llm_c("a.bin", np.concatenate(docs[:10]), llama), llm_c("b.bin", np.concatenate(docs[10:]), llama)]
        checks.ids(f"llm.c, {name}, two shards", two, docs, *tokens)
        packed = checks.path("a.bin.zst")
        packed.write_bytes(zstandard.compress(two[0].read_bytes()))
        checks.ids(f"llm.c, {name}, zst", [packed], docs[:10], *tokens)
        if not llama:
            path = checks.path("train.bin")
            array = np.memmap(path, dtype=np.uint16, mode="w+", shape=(len(ids),))
            array[:] = ids
            array.flush()
            checks.ids("nanoGPT, memmap", [path], docs, *tokens)
            path = checks.path("train.bin")
            ids.astype(np.uint16).tofile(path)
            checks.ids("nanoGPT, tofile", [path], docs, *tokens)
            checks.bad_ids(
                "an id that is too large",
                llm_c("a.bin", np.append(ids, size), llama),
                tokens,
                f"the id {size}",
                f"position {len(ids)}",
            )
        checks.bad_ids(
            f"{name}, a header that counts more",
            llm_c("a.bin", ids, llama, count=len(ids) + 1),
            tokens,
            "header counts",
        )
        checks.bad_ids(f"{name}, another version", llm_c("a.bin", ids, llama, version=3), tokens, "the version 3")
        cut = llm_c("a.bin", ids, llama)
        cut.write_bytes(cut.read_bytes()[:-1])
        checks.bad_ids(f"{name}, within an id", cut, tokens, "ends within its id")
    checks.bad("ids where text is wanted", llm_c("a.bin", ids, True), "holds token ids")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nitp", type=Path, default=ROOT / "target/release/nitp")
    parser.add_argument("--show", action="store_true", help="print the error messages")
    arguments = parser.parse_args()
    groups: list[Callable[[Checks], None]] = [parquet, other_writers, tables, lines, folders, shards]
    with tempfile.TemporaryDirectory() as name:
        checks = Checks(arguments.nitp.resolve(), Path(name), arguments.show)
        for group in groups:
            group(checks)
        checks.end()
    print(f"{checks.wrong} differences")
    sys.exit(checks.wrong > 0)


if __name__ == "__main__":
    main()
