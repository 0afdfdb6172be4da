"""Prints what torch.randn draws on the processor, as a table of Rust: seed, number of values, FNV-1a hash of their
bits, the first and the last. Needs torch 2.15 on a processor with AVX2:

    python tests/golden/torch_randn.py > crates/numeric/src/torch/goldens.rs
"""

import struct

import torch

COUNTS = [1, 15, 16, 17, 16384, 1000003]
SEEDS = [0, 42, 1234567890123, 2**64 - 1]


def fnv(data: bytes) -> int:
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def drawn(count: int, generator: torch.Generator) -> tuple[int, int, int]:
    """A call's hash, taken over its words, and its first and last bits."""
    data = torch.randn(count, generator=generator).numpy().astype("<f4").tobytes()
    first, last = struct.unpack("<I", data[:4])[0], struct.unpack("<I", data[-4:])[0]
    return fnv(data), first, last


print("// Made by tests/golden/torch_randn.py with torch", torch.__version__.split("+")[0])
print("/// A call: the hash of its values' bits, the first value and the last.")
print("pub(super) type Call = (u64, u32, u32);")
print("/// Seed, values, and two calls one after the other.")
print("#[rustfmt::skip]")
print(f"pub(super) const CALLS: [(u64, usize, [Call; 2]); {len(COUNTS) * len(SEEDS)}] = [")
for seed in SEEDS:
    for count in COUNTS:
        generator = torch.Generator().manual_seed(seed if seed < 2**63 else seed - 2**64)
        calls = ", ".join("(0x%016x, 0x%08x, 0x%08x)" % drawn(count, generator) for _ in range(2))
        print(f"    ({seed}, {count}, [{calls}]),")
print("];")
