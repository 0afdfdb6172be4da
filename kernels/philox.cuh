// Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw, "Parallel Random Numbers: As Easy as
// 1, 2, 3" (SC 2011); the words of a stream are those of crates/numeric/src/philox.rs.
#pragma once

#include "storage.cuh"

struct Words {
    u32 word[4];
};

// Four random words for every (counter, key).
Words philox(u32 c0, u32 c1, u32 c2, u32 c3, u32 k0, u32 k1) {
#pragma unroll
    for (u32 round = 0; round < 10; round++) {
        const u64 p0 = u64(c0) * 0xD2511F53, p1 = u64(c2) * 0xCD9E8D57;
        c0 = u32(p1 >> 32) ^ c1 ^ k0;
        c1 = u32(p1);
        c2 = u32(p0 >> 32) ^ c3 ^ k1;
        c3 = u32(p0);
        k0 += 0x9E3779B9;
        k1 += 0xBB67AE85;
    }
    return {c0, c1, c2, c3};
}

// Words 4·index .. 4·index + 3 of (key, stream).
Words philox_block(u32 k0, u32 k1, u32 stream, u64 index) {
    return philox(u32(index), u32(index >> 32), stream, 0, k0, k1);
}
