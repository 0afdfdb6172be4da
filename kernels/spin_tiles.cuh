// Sweeps of spins that are all coupled, in order: 128 sites at a time are visited by all reads, then what flipped is added
// to the local fields of the others.
//
// A launch does both at once: some blocks visit sites, for 32 reads each, while the others add what flipped among the
// sites before. A field gets its additions one by one in the order of the sites, so it has the bits of a sweep that adds
// each flip at once. A product with 2 or 1 is exact, and so fused multiply-add rounds as the addition does.
#pragma once

#include "ising.cuh"

using u8 = unsigned char;

enum : u32 { SIDE = 128, WARPS = 16, OWN = SIDE / WARPS, NONE = ~0u }; // sites of a tile; its warps; sites of a warp

// Which of a tile's sites flipped, and which of them are +1 now, of one read.
struct Flips {
    u32 flipped[SIDE / 32], up[SIDE / 32];
};

struct Couplings {
    const float* weights;
    u32 n;

    // Those of the sites of one tile, by rows, to those of another.
    void copy(float (*to)[SIDE], u32 tile, u32 others) const {
        for (u32 i = threadIdx.x; i < SIDE * SIDE; i += blockDim.x) {
            const u32 k = tile * SIDE + i / SIDE, l = others * SIDE + i % SIDE;
            to[i / SIDE][i % SIDE] = k < n && l < n ? weights[u64(k) * n + l] : 0.0f;
        }
    }
};

// Adds what flipped in a tile to the fields of the sites of another, of 128 reads; a warp has one after another.
void add_flips(float* fields, const Flips* flips, float (*weights)[SIDE], float size, u32 others, u32 first, u32 reads,
               u32 n) {
    const u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    for (u32 read = first + warp; read < min(first + SIDE, reads); read += WARPS) {
        const Flips own = flips[read];
        if ((own.flipped[0] | own.flipped[1] | own.flipped[2] | own.flipped[3]) == 0) continue;
        float* at = fields + u64(read) * n + others * SIDE;
        const u32 left = n - others * SIDE;
        float sums[SIDE / 32];
#pragma unroll
        for (u32 c = 0; c < SIDE / 32; c++) sums[c] = 32 * c + lane < left ? at[32 * c + lane] : 0.0f;
#pragma unroll
        for (u32 w = 0; w < SIDE / 32; w++) {
            u32 rest = own.flipped[w];
            while (rest != 0) {
                const u32 k = __ffs(rest) - 1;
                rest &= rest - 1;
                const float change = own.up[w] >> k & 1 ? size : -size;
#pragma unroll
                for (u32 c = 0; c < SIDE / 32; c++) {
                    sums[c] = __fmaf_rn(change, weights[32 * w + k][32 * c + lane], sums[c]);
                }
            }
        }
#pragma unroll
        for (u32 c = 0; c < SIDE / 32; c++) {
            if (32 * c + lane < left) at[32 * c + lane] = sums[c];
        }
    }
}

// A warp's sites of a tile, a lane has a read.
struct Near {
    float fields[OWN];

    // Adds a flip of the lane's read, where there is one.
    void add(bool flipped, bool up, const float* row) {
        if (flipped) {
#pragma unroll
            for (u32 i = 0; i < OWN; i++) fields[i] = __fmaf_rn(up ? 2.0f : -2.0f, row[i], fields[i]);
        }
    }
};

struct Visit {
    Key key;
    u32 sweep, group, tile, before; // `before`: the tile whose flips are still to be added, or NONE
};

struct VisitRoom {
    float weights[SIDE][SIDE];
    Words planes[2][SIDE];
    u32 published[2][32];
};

VisitRoom& shared_room() {
    extern __shared__ VisitRoom rooms[];
    return rooms[0];
}

// Visits the sites of a tile in order: each warp has eight of them, and tells the others which flipped.
template <bool HEAT_BATH>
void visit_tile(VisitRoom& room, u8* spins, float* fields, const Couplings& couplings, const Flips* before, Flips* flips,
                const Visit& at, u32 slot, bool there, float beta) {
    const u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32, n = couplings.n;
    const u32 first = at.tile * SIDE + OWN * warp;
    Near near;
    u32 ups = 0, high[OWN];
    const u64 own = u64(slot) * n + first;
#pragma unroll
    for (u32 i = 0; i < OWN; i++) {
        const bool inside = there && first + i < n;
        near.fields[i] = inside ? fields[own + i] : 0.0f;
        ups |= u32(inside && spins[own + i]) << i;
    }
    if (threadIdx.x < 2 * SIDE) {
        const u32 quad = threadIdx.x / SIDE, site = threadIdx.x % SIDE;
        room.planes[quad][site] = planes(at.key, at.sweep, at.tile * SIDE + site, ACCEPT, quad, at.group);
    }
    if (at.before != NONE) {
        couplings.copy(room.weights, at.before, at.tile);
        __syncthreads();
        const Flips those = there ? before[slot] : Flips{};
#pragma unroll
        for (u32 w = 0; w < SIDE / 32; w++) {
#pragma unroll 1
            for (u32 k = 0; k < 32; k++) {
                near.add(those.flipped[w] >> k & 1, those.up[w] >> k & 1, &room.weights[32 * w + k][OWN * warp]);
            }
        }
        __syncthreads();
    }
    couplings.copy(room.weights, at.tile, at.tile);
    __syncthreads();
#pragma unroll
    for (u32 i = 0; i < OWN; i++) {
        high[i] = nibble(room.planes[0][OWN * warp + i], lane) << 4 | nibble(room.planes[1][OWN * warp + i], lane);
    }
    u32 flipped = 0;
#pragma unroll 1
    for (u32 turn = 0; turn < WARPS; turn++) {
        u32& published = room.published[turn % 2][lane];
        if (warp == turn) {
#pragma unroll
            for (u32 i = 0; i < OWN; i++) {
                const bool up = ups >> i & 1;
                const float field = near.fields[i];
                const Draw draw{at.key, at.sweep, first + i, at.group, lane, high[i]};
                const bool below = draw.below(threshold<HEAT_BATH>(up ? field : -field, field, beta));
                const bool flips = there && first + i < n && (HEAT_BATH ? below != up : below);
                flipped |= u32(flips) << i, ups ^= u32(flips) << i;
                near.add(flips, !up, &room.weights[OWN * warp + i][OWN * warp]);
            }
            published = flipped | ups << OWN;
        }
        __syncthreads();
        if (warp != turn) {
            const u32 those = published;
            if (!__any_sync(~0u, those << (32 - OWN))) continue;
#pragma unroll
            for (u32 i = 0; i < OWN; i++) {
                near.add(those >> i & 1, those >> (OWN + i) & 1, &room.weights[OWN * turn + i][OWN * warp]);
            }
        }
    }
    if (!there) return;
#pragma unroll
    for (u32 i = 0; i < OWN; i++) {
        if (first + i < n) fields[own + i] = near.fields[i], spins[own + i] = ups >> i & 1;
    }
    reinterpret_cast<u8*>(flips[slot].flipped)[warp] = flipped;
    reinterpret_cast<u8*>(flips[slot].up)[warp] = ups;
}
