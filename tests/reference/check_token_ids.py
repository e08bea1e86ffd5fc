#!/usr/bin/env python3
"""Compares token ids of `nitp tokenizer encode` with those of the tokenizers package, on 1 MB of mixed text.

    python3 tests/reference/check_token_ids.py [--nitp target/release/nitp]

The text: prose of the demo corpus, this folder's code, and random characters of all of Unicode. The tokenizers, each
trained on it: byte-level BPE with the patterns of Llama 3 and of Qwen 2, BPE with a prefix and byte fallback as in Llama
2, Unigram with Metaspace, WordPiece. Each document is encoded whole. Exits with 1 where an id differs.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

ROOT = Path(__file__).parents[2]
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
BYTES = 1_000_000
VOCABULARY = 4_000


def texts() -> list[str]:
    """Documents of very different lengths, half a megabyte the longest."""
    with (ROOT / "demo-data/corpus.jsonl").open(encoding="utf-8") as file:
        prose = "\n\n".join(json.loads(line)["text"] for line in file)
    code = "".join(path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.glob("*.py")))
    draw = random.Random(0)
    planes = [(0x20, 0x7F), (0xA0, 0x530), (0x590, 0x700), (0x900, 0xE00), (0x3040, 0x3100), (0x4E00, 0x9FFF)]
    planes += [(0xAC00, 0xD7A4), (0x1F300, 0x1F700), (0x300, 0x370), (0x2000, 0x2070)]
    words = []
    for _ in range(33_000):
        low, high = draw.choice(planes)
        words.append("".join(chr(draw.randrange(low, high)) for _ in range(draw.randrange(1, 8))))
    mixed = "".join(word + draw.choice([" ", " ", "  ", "\n", "\t", "\r\n", ""]) for word in words)
    parts = [prose[: BYTES // 2], code[: BYTES // 8], mixed]
    parts += [mixed[at : at + draw.randrange(1, 400)] for at in range(0, len(mixed), 997)]
    return [part.encode("utf-8", "ignore").decode() for part in parts]


def kinds(corpus: list[str]) -> dict[str, Tokenizer]:
    end = ["<|endoftext|>"]
    made = {}
    for name, digits in (("byte-level BPE, Llama 3", "{1,3}"), ("byte-level BPE, Qwen 2", "")):
        made[name] = it = Tokenizer(models.BPE())
        split = pre_tokenizers.Split(Regex(PATTERN % digits), "isolated")
        level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        it.pre_tokenizer, it.decoder = pre_tokenizers.Sequence([split, level]), decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        it.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=end, initial_alphabet=alphabet))
    made["Qwen 2, with NFC"] = it = Tokenizer.from_str(made["byte-level BPE, Qwen 2"].to_str())
    it.normalizer = normalizers.NFC()
    made["BPE with prefix and byte fallback, Llama 2"] = it = Tokenizer(
        models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    )
    it.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    fallback = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    # As SentencePiece cuts for training: there are no words in the tokenizer itself.
    it.pre_tokenizer = pre_tokenizers.Split("\u2581", "merged_with_next")
    it.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=fallback, limit_alphabet=500))
    bare = json.loads(it.to_str())
    bare["pre_tokenizer"] = None
    bare["added_tokens"] = [token for token in bare["added_tokens"] if not token["content"].startswith("<0x")]
    made["BPE with prefix and byte fallback, Llama 2"] = Tokenizer.from_str(json.dumps(bare))
    made["Unigram, Metaspace"] = it = Tokenizer(models.Unigram())
    it.normalizer, it.pre_tokenizer = normalizers.NFKC(), pre_tokenizers.Metaspace()
    # Every character that it is trained on has to be a token: it is trained on prose and code alone.
    it.train_from_iterator(corpus[:2], trainers.UnigramTrainer(vocab_size=VOCABULARY, special_tokens=["<unk>", "</s>"], unk_token="<unk>"))
    made["WordPiece"] = it = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    it.normalizer, it.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    it.train_from_iterator(corpus, trainers.WordPieceTrainer(vocab_size=VOCABULARY, special_tokens=["[UNK]", "[CLS]", "[SEP]"]))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nitp", type=Path, default=ROOT / "target/release/nitp")
    nitp = parser.parse_args().nitp.resolve()
    corpus = texts()
    print(f"{len(corpus)} documents, {sum(len(text.encode()) for text in corpus):,} bytes")
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = [json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in corpus]
        (folder / "texts.jsonl").write_text("".join(lines), encoding="utf-8")
        for number, (kind, tokenizer) in enumerate(kinds(corpus).items()):
            file, out = folder / f"{number}.json", folder / f"{number}.npy"
            tokenizer.save(str(file))
            command = [nitp, "tokenizer", "encode", file, "--data", folder / "texts.jsonl", "--out", out]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            found = np.load(out)
            expected = np.array([id for text in corpus for id in tokenizer.encode(text, add_special_tokens=False).ids])
            same = found.shape == expected.shape and bool((found == expected).all())
            wrong += not same
            print(f"{kind}: {len(expected):,} ids {'equal' if same else 'DIFFER'}")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
