"""Packs CLIP's merges: for each of the 48,894 the ids of its two parts, two bytes each, little-endian.

    python tests/golden/clip_vocabulary.py .../open_clip/bpe_simple_vocab_16e6.txt.gz > crates/models/src/tokenizer/clip/merges.bin

The file is part of the package open_clip_torch 3.3.0. An id below 256 is a byte in the order of GPT-2's table of printable
characters, below 512 such a byte at a word's end, and above the merge itself in the order of the file.
"""

import gzip
import struct
import sys

MERGES = 48894

printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
others = [byte for byte in range(256) if byte not in printable]
characters = [chr(byte) for byte in printable] + [chr(256 + n) for n in range(len(others))]
ids = {token: n for n, token in enumerate(characters + [c + "</w>" for c in characters])}
lines = gzip.open(sys.argv[1], "rt", encoding="utf-8").read().split("\n")[1 : MERGES + 1]
for line in lines:
    left, right = line.split()
    sys.stdout.buffer.write(struct.pack("<HH", ids[left], ids[right]))
    ids.setdefault(left + right, len(ids))
assert len(ids) == 512 + MERGES
