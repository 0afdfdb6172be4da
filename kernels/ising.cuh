// Draws and rules of single spins, bit for bit those of crates/energy (draw.rs, dynamics/single_site.rs).
//
// Reads are taken in groups of 32, the read r being bit r % 32 of group r / 32. Bit 31 - k of the 32-bit word u that
// read r draws for a site in a sweep is bit r % 32 of lane k % 4 of the Philox block with the counter
// (sweep, site, 8·stream + k/4, r/32).
#pragma once

#include "elementary.cuh"
#include "philox.cuh"

struct Key {
    u32 low, high;
};

enum : u32 { START = 0, ACCEPT = 1 }; // streams

// Bits 4·quad .. 4·quad + 3, from the highest, of the reads of a group.
Words planes(Key key, u32 sweep, u32 site, u32 stream, u32 quad, u32 group) {
    return philox(sweep, site, 8 * stream + quad, group, key.low, key.high);
}

// The four bits of one read.
u32 nibble(const Words& planes, u32 read) {
    u32 digit = 0;
#pragma unroll
    for (u32 plane = 0; plane < 4; plane++) digit = digit << 1 | (planes.word[plane] >> read & 1);
    return digit;
}

// What u is compared with: u < value, if it is not certain.
struct Threshold {
    u32 value;
    bool certain;
};

// Of Metropolis, by which a spin flips, or of the heat bath, by which it becomes +1; `field` is its local field and
// `aligned` the same times the spin.
template <bool HEAT_BATH> Threshold threshold(float aligned, float field, float beta) {
    float probability;
    if (HEAT_BATH) probability = logistic(2.0f * (beta * field));
    else {
        const float rise = 2.0f * aligned;
        probability = rise > 0 ? exponential(-(beta * rise)) : 1.0f;
    }
    return {__float2uint_rz(probability * 4294967296.0f), probability >= 1.0f};
}

// A draw whose eight highest bits are known.
struct Draw {
    Key key;
    u32 sweep, site, group, read, high;

    // Whether u < threshold; more of u is drawn where it must be.
    bool below(const Threshold& threshold) const {
        if (threshold.certain) return true;
        if (high != threshold.value >> 24) return high < threshold.value >> 24;
#pragma unroll 1
        for (u32 quad = 2; quad < 8; quad++) {
            const u32 digit = nibble(planes(key, sweep, site, ACCEPT, quad, group), read);
            const u32 wanted = threshold.value >> (28 - 4 * quad) & 15;
            if (digit != wanted) return digit < wanted;
        }
        return false;
    }
};
