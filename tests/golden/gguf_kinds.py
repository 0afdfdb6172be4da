"""Writes a GGUF file with a tensor of every kind, and what the package gguf 0.19 decodes from it: the FNV-1a hash of the
values' bits, the first value and the last. Needs gguf and numpy:

    python tests/golden/gguf_kinds.py crates/io/tests/golden
"""

import pathlib
import sys

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize

KINDS = ["F32", "F16", "BF16", "F64", "I8", "I16", "I32", "I64", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"]
# Where the 16-bit scales of a block lie.
SCALES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108]}
SCALES |= {"Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}


def fnv(data: bytes) -> int:
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


folder = pathlib.Path(sys.argv[1])
random = np.random.default_rng(7)
writer = GGUFWriter(folder / "kinds.gguf", "sd")
writer.add_string("general.name", "every kind")
writer.add_array("some.list", ["a", "bc"])
lines = []
for kind in KINDS:
    type_ = GGMLQuantizationType[kind]
    block, size = GGML_QUANT_SIZES[type_]
    columns = max(block, 8)
    if kind == "F32":
        data = random.standard_normal((3, columns)).astype(np.float32)
    elif kind == "F16":
        data = random.standard_normal((3, columns)).astype(np.float16)
    elif kind == "F64":
        data = random.standard_normal((3, columns))
    elif kind[0] == "I":
        data = random.integers(-100, 100, (3, columns)).astype("i%d" % (int(kind[1:]) // 8))
    else:
        data = random.integers(0, 256, (3, columns // block * size), dtype=np.uint8)
        if kind == "BF16":
            data[:, 1::2] = 0x3F
        for place in SCALES.get(kind, []):
            scale = random.standard_normal(3).astype(np.float16).view(np.uint8).reshape(3, 2)
            data[:, place : place + 2] = scale
    plain = kind[0] in "FI"
    values = (data if plain else dequantize(data, type_)).astype("<f4")
    assert values.shape == (3, columns)
    writer.add_tensor(kind.lower(), data, raw_dtype=type_)
    bits = values.view("<u4").ravel()
    lines.append(f"{kind.lower()} {columns} {fnv(values.tobytes()):016x} {bits[0]:08x} {bits[-1]:08x}\n")
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
(folder / "kinds.txt").write_text("".join(lines))
