"""Prints what transformers' CLIPTokenizer makes of texts in many scripts. Needs transformers 5.23:

    python tests/golden/clip_tokens.py .../open_clip/bpe_simple_vocab_16e6.txt.gz > crates/models/tests/golden/clip.txt

First come texts with their ids, one a line; then, for each hundred of 12,000 texts drawn as `text` below says, the
FNV-1a hash of their ids. crates/models/tests/clip_tokenizer.rs draws the same texts.
"""

import gzip
import struct
import sys

from transformers import CLIPTokenizer

READABLE = [
    "a photo of an astronaut riding a horse on mars",
    "A Photo, of THE cat's (hat)!!! 1girl 2024",
    "don't can't we're I've I'm you'll he'd 'tis rock'n'roll",
    "  spaces\tand\nlines\u3000wide\u00a0hard  ",
    "café naïve Ærøskøbing ÀÉÎ cafe\u0301",
    "İstanbul ΣΊΣΥΦΟΣ straße ẞ",
    "赤いネコ、ﾈｺ。猫の絵",
    "你好世界 붉은 고양이",
    "красная кошка и ёж",
    "قطة حمراء ١٢٣",
    "लाल बिल्ली १२",
    "แมวแดง",
    "🐱👩‍🚀👍🏽🇯🇵 #️⃣ ❤️",
    "½ ² Ⅷ ④ ㊙ ｶﾞ",
    "<|startoftext|>a cat<|endoftext|>",
    "<|STARTOFTEXT|> a",
    "e=mc^2 $5.00 50% a_b c-d //\\\\ [x] {y} ~`",
    "\ufffd\ufffd broken \x00\x01 control \x7f",
    "supercalifragilisticexpialidocious pneumonoultramicroscopicsilicovolcanoconiosis",
    "'s't're've'm'll'd ''s",
    "",
    " ",
]

RANGES = [
    (0xA0, 0x60), (0x100, 0x80), (0x180, 0xD0), (0x250, 0x60), (0x300, 0x70), (0x391, 0x3F), (0x400, 0x100),
    (0x531, 0x26), (0x5D0, 0x1B), (0x621, 0x4A), (0x905, 0x35), (0x985, 0x08), (0xB85, 0x06), (0xE01, 0x3A),
    (0x10D0, 0x2B), (0x1100, 0x60), (0x1200, 0x49), (0x13A0, 0x56), (0x1780, 0x5E), (0x1820, 0x59), (0x1E00, 0x100),
    (0x1F00, 0x16), (0x2010, 0x4F), (0x2070, 0x02), (0x20A0, 0x20), (0x2100, 0x8C), (0x2190, 0x70), (0x2200, 0x100),
    (0x2460, 0xA0), (0x2500, 0x100), (0x2701, 0xBF), (0x3001, 0x3F), (0x3041, 0x56), (0x30A0, 0x60), (0x4E00, 0x1000),
    (0xAC00, 0x1000), (0xF900, 0x100), (0xFF01, 0xBE), (0x10330, 0x1B), (0x1D400, 0x55), (0x1F600, 0x50),
    (0x1F300, 0x100), (0x20000, 0x1000), (0xE0020, 0x60), (0x0, 0x20), (0x7F, 0x21),
]
WORDS = "a cat Dog red PHOTO of the masterpiece 4k style1 painting, by Rembrandt ultra-detailed (soft:1.2) BREAK".split(" ")
EMOJI = ["🐱", "👩‍🚀", "👍🏽", "🇯🇵", "❤️", "#️⃣", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "☃", "👨‍👩‍👧‍👦"]
SPACES = [" ", "  ", "\t", "\n", "\r\n", "\u3000", "\u00a0", "\u2028", "\u0085"]
CONTRACTIONS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'", "’s"]
SPECIAL = ["<|endoftext|>", "<|startoftext|>", "<|ENDOFTEXT|>", "<|endoftext|", "</w>"]


class Random:
    def __init__(self):
        self.state = 1

    def below(self, n: int) -> int:
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % n

    def of(self, choices):
        return choices[self.below(len(choices))]


def piece(r: Random) -> str:
    kind = r.below(10)
    if kind == 0:
        return "".join(chr(r.of([65, 97]) + r.below(26)) for _ in range(1 + r.below(10)))
    if kind == 1:
        return r.of(WORDS)
    if kind == 2:
        first, count = r.of(RANGES)
        return "".join(chr(first + r.below(count)) for _ in range(1 + r.below(6)))
    if kind == 3:
        return r.of(EMOJI)
    if kind == 4:
        return "".join(chr(33 + r.below(15)) for _ in range(1 + r.below(4)))
    if kind == 5:
        return r.of(SPACES)
    if kind == 6:
        return str(r.below(100000))
    if kind == 7:
        return r.of(CONTRACTIONS)
    if kind == 8:
        return bytes(r.below(256) for _ in range(1 + r.below(8))).decode("utf-8", "replace")
    return r.of(SPECIAL) if r.below(4) == 0 else "the"


def text(r: Random) -> str:
    return r.of(["", " "]).join(piece(r) for _ in range(1 + r.below(8)))


def tokenizer(path: str) -> CLIPTokenizer:
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    characters = [chr(b) for b in printable] + [chr(256 + n) for n in range(256 - len(printable))]
    lines = gzip.open(path, "rt", encoding="utf-8").read().split("\n")[1:48895]
    merges = [tuple(line.split()) for line in lines]
    tokens = characters + [c + "</w>" for c in characters] + ["".join(m) for m in merges]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={token: n for n, token in enumerate(tokens)}, merges=merges)


def fnv(data: bytes) -> int:
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def main() -> None:
    clip = tokenizer(sys.argv[1])
    for line in READABLE:
        escaped = line.encode("unicode_escape").decode()
        print(escaped, "|", *clip(line)["input_ids"][1:-1])
    print()
    r = Random()
    for _ in range(120):
        ids = [clip(text(r))["input_ids"] for _ in range(100)]
        print("%016x" % fnv(b"".join(struct.pack("<%dI" % len(row), *row) for row in ids)))


if __name__ == "__main__":
    main()
