#!/usr/bin/env python3
"""Makes the texts and tokenizers of the search (see run.sh) in the folder that is given, or in `search`.

    python3 demo-data/search/prepare.py [FOLDER]

| file | contents |
| --- | --- |
| corpus.jsonl | two thirds of the documents of debian-corpus.py, to train on |
| little.jsonl | about 1 MB of these, for runs that read their text many times |
| probe.jsonl | documents that are in neither, at most 100 a source, cut to 1,000 characters, labelled with their source |
| next.jsonl | questions which sentence comes next, made of probe.jsonl; each choice is right once in its group of four |
| tokenizer-8k.json, tokenizer-32k.json | tokenizers of 8,192 and 32,768 tokens, trained on corpus.jsonl |

NITP names the program (default: target/debug/nitp). What is there already stays.
"""

import collections
import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
NITP = os.environ.get("NITP", "target/debug/nitp")
PROBED_OF_A_SOURCE = 100
LONGEST_PROBE = 1000  # characters
SMALL_SOURCES = ("debian", "reference")  # a larger share of these is probed
VOCABULARIES = {"8k": 8192, "32k": 32768}

Document = dict[str, object]


def read(path: Path) -> list[Document]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def write(path: Path, documents: list[Document]) -> None:
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8") as file:
        for document in documents:
            file.write(json.dumps(document, ensure_ascii=False) + "\n")
    part.rename(path)
    print(f"{path}: {len(documents):,} objects, {path.stat().st_size / 1e6:.1f} MB")


def split(documents: list[Document]) -> tuple[list[Document], list[Document]]:
    """Documents to train on, and some of each source to probe with."""
    seen: collections.Counter[str] = collections.Counter()
    taken: collections.Counter[str] = collections.Counter()
    train, probe = [], []
    for document in documents:
        source, text = str(document["source"]), str(document["text"])
        seen[source] += 1
        every = 2 if source in SMALL_SOURCES else 3
        if seen[source] % every == 0 and taken[source] < PROBED_OF_A_SOURCE:
            taken[source] += 1
            whole = text[:LONGEST_PROBE]
            cut = whole.rsplit(" ", 1)[0] if len(text) > LONGEST_PROBE else whole
            probe.append({"text": cut, "source": source})
        else:
            train.append(document)
    return train, probe


def questions(probe: list[Document]) -> list[Document]:
    """Which sentence comes next: the end of a passage, and four sentences of documents of the same source. Items come in
    groups of four with the same choices, so that nothing in a choice alone says that it is right."""
    draws = random.Random(5)
    by_source = collections.defaultdict(list)
    for document in probe:
        text = str(document["text"])
        if not text.isascii():
            continue
        sentences = re.split(r"(?<=[.!?]) (?=[A-Z])", re.sub(r"\s+", " ", text))
        for i in range(1, len(sentences) - 1):
            question = " ".join(sentences[max(0, i - 2) : i])[-220:]
            if len(question) >= 60 and 30 <= len(sentences[i]) <= 110:
                by_source[document["source"]].append((question, sentences[i]))
                break
    items = []
    for pairs in by_source.values():
        draws.shuffle(pairs)
        for first in range(0, len(pairs) // 4 * 4, 4):
            group = pairs[first : first + 4]
            order = draws.sample(range(4), 4)
            for question, answer in group:
                choices = [group[at][1] for at in order]
                turn = draws.randrange(4)
                choices = choices[turn:] + choices[:turn]
                if len(set(choices)) == 4:
                    items.append(
                        {
                            "task": "next",
                            "question": question,
                            "choices": choices,
                            "answer": choices.index(answer),
                        }
                    )
    return items


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "search")
    folder.mkdir(parents=True, exist_ok=True)
    everything = folder / "debian.jsonl"
    if not everything.exists():
        script = HERE.parent / "debian-corpus.py"
        subprocess.run([sys.executable, script, "--out", everything], check=True)
    if not (folder / "next.jsonl").exists():
        train, probe = split(read(everything))
        write(folder / "corpus.jsonl", [it for i, it in enumerate(train) if i % 3])
        write(folder / "little.jsonl", [it for i, it in enumerate(train) if i % 45 == 7][:130])
        write(folder / "probe.jsonl", probe)
        write(folder / "next.jsonl", questions(probe))
    for name, size in VOCABULARIES.items():
        out = folder / f"tokenizer-{name}.json"
        if not out.exists():
            command = [NITP, "tokenizer", "train", "--data", folder / "corpus.jsonl"]
            subprocess.run([*command, "--vocab-size", str(size), "--out", out], check=True)


main()
