#!/usr/bin/env python3
"""Makes a corpus of real English text out of documentation that Debian packages: some tens of MB of JSON lines.

    python3 demo-data/debian-corpus.py --out corpus.jsonl [--most 6]

It downloads packages with apt-get (no root, nothing is installed), unpacks them beside the output, and writes one
object a document: `text`, and `source`, the kind of text, which `nitp probe` takes as a label. Formats are HTML, plain
text, manual pages and dictionaries. Documents are in an order that follows from their content, so that two runs
with the same package versions give the same bytes. The packages' licences are their own: the corpus is not part of
this project.
"""

import argparse
import gzip
import hashlib
import html.parser
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

# The kind of text, the packages that may hold it (the first that there is), and where in it the text lies.
SOURCES = [
    ("politics", ["anarchism"], "usr/share/doc/anarchism/html"),
    ("dictionary", ["dict-gcide"], "usr/share/dictd"),
    ("thesaurus", ["dict-wn"], "usr/share/dictd"),
    ("jargon", ["dict-foldoc"], "usr/share/dictd"),
    ("kernel", ["linux-doc-6.12", "linux-doc-6.1"], "usr/share/doc"),
    ("python", ["python3.13-doc", "python3.11-doc"], "usr/share/doc"),
    ("perl", ["perl-doc"], "usr/share/perl"),
    ("sqlite", ["sqlite3-doc"], "usr/share/doc"),
    ("httpd", ["apache2-doc"], "usr/share/doc/apache2-doc/manual/en"),
    ("octave", ["octave-doc"], "usr/share/doc"),
    ("git", ["git-doc"], "usr/share/doc"),
    ("debian", ["debian-handbook"], "usr/share/doc/debian-handbook/html/en-US"),
    ("policy", ["debian-policy"], "usr/share/doc"),
    ("reference", ["debian-reference-en"], "usr/share"),
    ("manual", ["manpages-dev"], "usr/share/man"),
]
SHORTEST = 400  # characters of a document
LONGEST = 20_000  # a longer one is cut between paragraphs, or between lines where those are longer
IGNORED_TAGS = {"script", "style", "nav", "head", "footer", "form"}
BLOCK_TAGS = {"p", "div", "li", "tr", "h1", "h2", "h3", "h4", "h5", "pre", "dt", "dd", "br", "table", "section"}


class TextOf(html.parser.HTMLParser):
    """The text of a page, a line a block."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.ignored = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.ignored += tag in IGNORED_TAGS
        if tag in BLOCK_TAGS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self.ignored -= tag in IGNORED_TAGS and self.ignored > 0
        if tag in BLOCK_TAGS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self.ignored:
            self.parts.append(data)


def of_html(text: str) -> str:
    parser = TextOf()
    parser.feed(text)
    return "".join(parser.parts)


def of_manual_page(text: str) -> str:
    """Without the requests and escapes of roff, roughly."""
    lines = []
    for line in text.splitlines():
        if line.startswith((".\\\"", "'")):
            continue
        if match := re.match(r"\.(SH|SS|B|I|BR|IR|BI|RB|RI|TP|IP)\b ?(.*)", line):
            line = match[2].replace('"', "")
        elif line.startswith("."):
            continue
        line = re.sub(r"\\f(\[\w*\]|.)", "", line)
        line = re.sub(r"\\\(\w\w|\\\*\(\w\w|\\[&c|^]", "", line)
        lines.append(line.replace("\\-", "-").replace("\\e", "\\"))
    return "\n".join(lines)


def tidy(text: str) -> str:
    lines = (re.sub(r"[ \t\xa0]+", " ", line).strip() for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def pieces(text: str) -> Iterator[str]:
    """The text, or parts of at most `LONGEST` characters that end between paragraphs."""
    if len(text) <= LONGEST:
        yield text
        return
    lines = text.splitlines(keepends=True)
    part: list[str] = []
    length = 0
    for line in lines:
        between = line == "\n" and length > LONGEST / 2
        if part and (between or length + len(line) > LONGEST):
            yield "".join(part).strip()
            part, length = [], 0
        part.append(line)
        length += len(line)
    yield "".join(part).strip()


def read(path: Path) -> str | None:
    """The text of a file of a known kind."""
    name = path.name.lower()
    data = path.read_bytes()
    if name.endswith((".gz", ".dz")):
        data = gzip.decompress(data)
        name = name.rsplit(".", 1)[0]
    text = data.decode("utf-8", errors="replace")
    if name.endswith((".html", ".htm")):
        return of_html(text)
    if re.search(r"\.\d\w*$", name):
        return of_manual_page(text)
    if name.endswith((".txt", ".pod", ".rst", ".md", ".dict")):
        return text
    return None


def unpacked(packages: list[str], folder: Path) -> Path:
    """The files of the first of the packages that there is."""
    for package in packages:
        place = folder / package
        if place.is_dir():
            return place
        found = subprocess.run(["apt-cache", "show", package], capture_output=True)
        if found.returncode == 0 and found.stdout:
            download = ["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", package]
            if subprocess.run(download, cwd=folder).returncode != 0:
                raise SystemExit(
                    f"{package} could not be downloaded; the message of apt-get is above. If the lists of packages are "
                    "older than the archive, the version in them is gone: run apt-get update, and then this script again"
                )
            [archive] = folder.glob(f"{package}_*.deb")
            # Beside it and then renamed: what is there is whole.
            part = place.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            subprocess.run(["dpkg-deb", "-x", archive, part], check=True)
            part.rename(place)
            archive.unlink()
            return place
    raise SystemExit(f"none of the packages {', '.join(packages)} is known: run apt-get update first")


def documents(kind: str, root: Path) -> Iterator[dict[str, str]]:
    for path in sorted(root.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        if (text := read(path)) is None:
            continue
        for piece in pieces(tidy(text)):
            if len(piece) >= SHORTEST:
                yield {"text": piece, "source": kind}


def digest(document: dict[str, str]) -> str:
    return hashlib.sha256(document["text"].encode()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.jsonl")
    parser.add_argument("--most", type=float, default=6, metavar="MB", help="of each source [default: 6]")
    arguments = parser.parse_args()
    folder = arguments.out.with_suffix(".packages")
    folder.mkdir(parents=True, exist_ok=True)
    chosen: dict[str, dict[str, str]] = {}
    for kind, packages, inside in SOURCES:
        # By digest: the same text in two places counts once, and the order is that of no folder.
        found = {digest(it): it for it in documents(kind, unpacked(packages, folder) / inside)}
        count, size = 0, 0
        for key in sorted(found.keys() - chosen.keys()):
            length = len(found[key]["text"].encode())
            if size + length > arguments.most * 1e6:
                break
            chosen[key] = found[key]
            count, size = count + 1, size + length
        print(f"{kind:<12}{count:>7} documents {size / 1e6:>6.1f} MB", file=sys.stderr)
    with arguments.out.open("w") as out:
        for key in sorted(chosen):
            out.write(json.dumps(chosen[key], ensure_ascii=False) + "\n")
    total = sum(len(it["text"].encode()) for it in chosen.values())
    print(f"{arguments.out}: {len(chosen)} documents, {total / 1e6:.1f} MB of text", file=sys.stderr)


if __name__ == "__main__":
    main()
