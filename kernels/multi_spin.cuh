// Sweeps of multi-spin coding (Jacobs & Rebbi 1981; Isakov et al. 2015): 32 reads as the bits of a word.
//
// Two spins and the sign of their coupling tell by exclusive or which reads satisfy the bond; S of a site's M units are
// satisfied, and each S has its own threshold, with which u is compared bit by bit. The eight highest bits of u are
// drawn for every site. They leave one word of twelve open: a warp gathers such words until there are 32, and draws the
// rest of u for these together.
#pragma once

#include "ising.cuh"

enum : u32 { LARGEST = 7 }; // units about a site

// Sites of levels, and what is drawn for them.
struct Schedule {
    const u32 *sites, *levels;
    u32 n, pitch, first_level, last_level;
    Key key;
    u32 first_group;
    const u32* sweeps;
    const float* betas;
    u32 count;
};

// A threshold for all reads: ones where the bit is set, or where the draw is of that kind.
struct alignas(16) Spread {
    u32 high[8]; // bits, from the highest
    u32 certain, drawn;
    u32 value;
};

// The thresholds of sites whose M is even, and odd, by S + (LARGEST - M) / 2: all that S and M say of them.
struct Thresholds {
    enum : u32 { ROW = LARGEST + 1 + LARGEST / 2 }; // the last are of no read: sites of few units have classes to spare
    Spread of[2][ROW];

    template <bool HEAT_BATH> void fill(float unit, float beta) {
        for (u32 i = threadIdx.x; i < 2 * ROW; i += blockDim.x) {
            const u32 odd = i / ROW, place = i % ROW;
            const float field = unit * float(int(2 * place) - int(LARGEST) + int(1 - odd));
            const Threshold t = threshold<HEAT_BATH>(field, field, beta);
            Spread& spread = of[odd][place];
#pragma unroll
            for (u32 bit = 0; bit < 8; bit++) spread.high[bit] = u32(int(t.value << bit) >> 31);
            spread.certain = t.certain ? ~0u : 0;
            spread.drawn = t.certain || t.value == 0 ? 0 : ~0u;
            spread.value = t.value;
        }
    }

    // Those of the classes of a site of so many units: of Metropolis S = M/2 + 1 and on, of the heat bath 0 and on.
    template <bool HEAT_BATH> const Spread* classes(u32 total) const {
        return &of[total & 1][HEAT_BATH ? (LARGEST - total) / 2 : (LARGEST + 1) / 2];
    }
};

// For each read what its class has, the class in binary digits.
template <u32 DIGITS> u32 select(const u32 (&digits)[DIGITS], const u32 (&of)[1 << DIGITS]) {
    u32 left[1 << DIGITS];
#pragma unroll
    for (u32 c = 0; c < 1 << DIGITS; c++) left[c] = of[c];
#pragma unroll
    for (u32 d = 0; d < DIGITS; d++) {
#pragma unroll
        for (u32 c = 0; c < 1 << (DIGITS - 1 - d); c++) {
            left[c] = (left[2 * c + 1] & digits[d]) | (left[2 * c] & ~digits[d]);
        }
    }
    return left[0];
}

// A warp's words of which some reads are undecided; a ring.
template <u32 DIGITS, u32 GROUPS> struct Open {
    enum : u32 { ROOM = 64 * GROUPS };
    u32 position[ROOM]; // plus 2^31 in the second group
    u32 undecided[ROOM];
    u32 digits[DIGITS][ROOM];
};

template <bool HEAT_BATH, u32 DIGITS, u32 GROUPS> struct MultiSpin {
    u32* words; // of the first group
    const u32 *totals, *bonds;
    const Schedule& at;
    const Thresholds& thresholds;
    Open<DIGITS, GROUPS>& open;
    u32 group, lane;
    u32 begin = 0, held = 0;

    Words draw(u32 sweep, u32 site, u32 quad, u32 g) const {
        return planes(at.key, sweep, site, ACCEPT, quad, group + g);
    }

    // Draws what the eight highest bits left open, of up to 32 words.
    void settle(u32 sweep) {
        __syncwarp();
        const u32 count = min(held, 32u);
        if (lane < count) {
            const u32 slot = (begin + lane) % open.ROOM, p = open.position[slot] & 0x7fffffff;
            const u32 g = open.position[slot] >> 31, site = at.sites[p];
            const Spread* classes = thresholds.classes<HEAT_BATH>(totals[p]);
            u32 undecided = open.undecided[slot], below = 0, digits[DIGITS], values[1 << DIGITS];
#pragma unroll
            for (u32 d = 0; d < DIGITS; d++) digits[d] = open.digits[d][slot];
#pragma unroll
            for (u32 c = 0; c < 1 << DIGITS; c++) values[c] = classes[c].value << 8;
#pragma unroll 1
            for (u32 quad = 2; quad < 8 && undecided != 0; quad++) {
                const Words drawn = draw(sweep, site, quad, g);
#pragma unroll
                for (u32 plane = 0; plane < 4; plane++) {
                    u32 bits[1 << DIGITS];
#pragma unroll
                    for (u32 c = 0; c < 1 << DIGITS; c++) bits[c] = u32(int(values[c]) >> 31), values[c] <<= 1;
                    const u32 wanted = select<DIGITS>(digits, bits);
                    below |= undecided & wanted & ~drawn.word[plane];
                    undecided &= ~(wanted ^ drawn.word[plane]);
                }
            }
            words[u64(g) * at.pitch + p] ^= below; // its lane wrote it as if u were not below
        }
        __syncwarp();
        begin = (begin + count) % open.ROOM, held -= count;
    }

    // S of each read, plus 3 - M/2 by Metropolis, whose classes so begin at 4.
    void satisfied(u32 p, u32 total, const u32 (&base)[GROUPS], u32 (&sums)[GROUPS][3]) const {
        const u32 start = HEAT_BATH ? 0 : LARGEST / 2 - total / 2;
#pragma unroll
        for (u32 g = 0; g < GROUPS; g++) {
            sums[g][0] = 0 - (start & 1), sums[g][1] = 0 - (start >> 1), sums[g][2] = 0;
        }
#pragma unroll
        for (u32 pair = 0; pair < (DIGITS == 1 ? 2 : 4); pair++) {
            if (2 * pair >= total) break;
            const bool both = 2 * pair + 1 < total;
            const u32 one = bonds[u64(2 * pair) * at.n + p], two = both ? bonds[u64(2 * pair + 1) * at.n + p] : 0;
#pragma unroll
            for (u32 g = 0; g < GROUPS; g++) {
                const u32* own = words + u64(g) * at.pitch;
                const u32 x = base[g] ^ own[one & 0x7fffffff] ^ ((one >> 31) - 1);
                const u32 y = both ? base[g] ^ own[two & 0x7fffffff] ^ ((two >> 31) - 1) : 0;
                u32(&sum)[3] = sums[g];
                const u32 carry = (sum[0] & x) | (sum[0] & y) | (x & y);
                sum[0] ^= x ^ y;
                sum[2] ^= sum[1] & carry;
                sum[1] ^= carry;
            }
        }
    }

    // Visits the sites at the positions first .. first + 31, as far as there are any.
    void visit(u32 sweep, u32 first, u32 end) {
        const u32 p = first + lane;
        u32 undecided[GROUPS] = {}, digits[GROUPS][DIGITS] = {};
        if (p < end) {
            const u32 total = totals[p], site = at.sites[p];
            u32 own[GROUPS], base[GROUPS], sums[GROUPS][3], below[GROUPS] = {};
#pragma unroll
            for (u32 g = 0; g < GROUPS; g++) {
                own[g] = words[u64(g) * at.pitch + p];
                base[g] = HEAT_BATH ? ~0u : own[g];
                undecided[g] = ~0u;
            }
            satisfied(p, total, base, sums);
#pragma unroll
            for (u32 g = 0; g < GROUPS; g++) {
#pragma unroll
                for (u32 d = 0; d < DIGITS; d++) digits[g][d] = sums[g][d];
            }
            const Spread* classes = thresholds.classes<HEAT_BATH>(total);
#pragma unroll
            for (u32 quad = 2; quad-- > 0;) { // from the lowest bit
                u32 bits[4][1 << DIGITS];
#pragma unroll
                for (u32 plane = 0; plane < 4; plane++) {
#pragma unroll
                    for (u32 c = 0; c < 1 << DIGITS; c++) bits[plane][c] = classes[c].high[4 * quad + plane];
                }
#pragma unroll
                for (u32 g = 0; g < GROUPS; g++) {
                    const Words drawn = draw(sweep, site, quad, g);
#pragma unroll
                    for (u32 plane = 4; plane-- > 0;) {
                        const u32 wanted = select<DIGITS>(digits[g], bits[plane]), u = drawn.word[plane];
                        below[g] = (wanted & ~u) | (below[g] & (wanted | ~u));
                        undecided[g] &= ~(wanted ^ u);
                    }
                }
            }
            u32 certain[1 << DIGITS], some[1 << DIGITS];
#pragma unroll
            for (u32 c = 0; c < 1 << DIGITS; c++) certain[c] = classes[c].certain, some[c] = classes[c].drawn;
#pragma unroll
            for (u32 g = 0; g < GROUPS; g++) {
                const u32 all = HEAT_BATH ? ~0u : sums[g][2]; // the others flip
                undecided[g] &= select<DIGITS>(digits[g], some) & all;
                const u32 becomes = below[g] | select<DIGITS>(digits[g], certain) | ~all;
                words[u64(g) * at.pitch + p] = HEAT_BATH ? becomes : own[g] ^ becomes;
            }
        }
#pragma unroll
        for (u32 g = 0; g < GROUPS; g++) {
            const u32 those = __ballot_sync(~0u, undecided[g] != 0);
            if (undecided[g] != 0) {
                const u32 slot = (begin + held + __popc(those & ((1u << lane) - 1))) % open.ROOM;
                open.position[slot] = p | g << 31;
                open.undecided[slot] = undecided[g];
#pragma unroll
                for (u32 d = 0; d < DIGITS; d++) open.digits[d][slot] = digits[g][d];
            }
            held += __popc(those);
        }
    }
};

template <bool HEAT_BATH, u32 DIGITS, u32 GROUPS>
void multi_spin(u32* words, const u32* totals, const u32* bonds, float unit, const Schedule& at) {
    extern __shared__ u32 memory[];
    __shared__ Thresholds thresholds;
    const u32 warp = threadIdx.x / 32, step = gridDim.y * blockDim.x;
    Open<DIGITS, GROUPS>& open = reinterpret_cast<Open<DIGITS, GROUPS>*>(memory)[warp];
    words += u64(blockIdx.x) * GROUPS * at.pitch;
    MultiSpin<HEAT_BATH, DIGITS, GROUPS> spins{
        words, totals, bonds, at, thresholds, open, at.first_group + blockIdx.x * GROUPS, threadIdx.x % 32};
    for (u32 s = 0; s < at.count; s++) {
        const u32 sweep = at.sweeps[s];
        thresholds.fill<HEAT_BATH>(unit, at.betas[s]);
        __syncthreads();
        for (u32 level = at.first_level; level < at.last_level; level++) {
            const u32 end = at.levels[level + 1];
            for (u32 p = at.levels[level] + blockIdx.y * blockDim.x + 32 * warp; p < end; p += step) {
                spins.visit(sweep, p, end);
                const u32 least = end - p > step ? 32 : 1;
                while (spins.held >= least) spins.settle(sweep);
            }
            __syncthreads();
        }
    }
}
