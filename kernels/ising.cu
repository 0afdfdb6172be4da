// Spins with sparse couplings: many reads at once, 32 as the bits of a word, with the bits of `ScalarReplicas` in
// crates/energy.
//
//   ising_start(u32* words, const u32* sites, u32 n, u32 pitch, u32 key0, u32 key1, u32 first_group)
//     word of each position: bit r is +1 with probability 1/2; then one word of ones
//   ising_metropolis_2, ising_metropolis_4, ising_heat_bath_8, and each with _wide
//     (u32* words, const u32* totals, const u32* bonds, float unit, const u32* sites, const u32* levels, u32 n,
//      u32 pitch, u32 first_level, u32 last_level, u32 key0, u32 key1, u32 first_group, const u32* sweeps,
//      const float* betas, u32 count)
//     sweeps of multi-spin coding, all reads at one temperature; a thread of a wide one has a site in two groups
//   ising_metropolis, ising_heat_bath
//     (u32* words, const u32* rows, const u32* columns, const float* weights, const float* fields, .. from sites on the
//      same, betas of each read)
//     sweeps of any couplings, a temperature for each read
//   ising_energies(const u32* words, const u32* rows, const u32* columns, const double* weights, const double* fields,
//                  const u32* positions, u32 n, u32 pitch, double offset, double* energies)
//   ising_satisfied(const u32* words, const u32* totals, const u32* bonds, u32 n, u32 pitch, u64* counts)
//     adds the satisfied units of couplings, each from both of its ends, and of fields
//   ising_resample(const u32* words, u32* to, const u32* parents, u32 n, u32 pitch)
//     bit r of `to` is that of read parents[r]
//   ising_values(const u32* words, const u32* positions, u8* values, u32 n, u32 pitch, u32 read)
//   ising_set_values(u32* words, const u32* positions, const u8* values, u32 n, u32 pitch, u32 read)
//
// G groups of 32 reads, numbered from first_group on. words: [G, pitch], pitch > n. The n sites stand in the order in
// which levels of sites that are not coupled are visited: sites[p] is the number of the site at position p, positions
// its inverse; level i are the positions levels[i] .. levels[i+1] - 1.
// Multi-spin coding: couplings and fields are multiples of `unit`. totals[p]: M = (Σ|J| + |h|) / unit of the site, at most
// 7; bonds[i·n + p], i < M: a neighbour's position, n for the field, each as often as it has units, plus 2^31 where
// the coupling is negative. ising_metropolis_C: M ≤ 2·C.
// Any couplings: rows [n+1] says where a position's neighbours begin in columns (positions) and weights, in the order of
// the sites; fields [n].
// sweeps [count]: their numbers; betas: [count], or [count, G, 32]. energies: [G, 32]; counts: [2, G, 32]; parents: [G, 32],
// of all reads.
// Launch: sweeps: grid (G, s, 1), wide ones (G/2, s, 1), block (32·w, 1, 1), w ≤ 16; a block visits levels first_level ..
// last_level - 1 in turn, so with s > 1 it must be one level of one sweep. energies: grid (G, 1, 1), block (256, 1, 1).
// The others: grid (any, G, 1), or (any, 1, 1) for values; block up to 256 threads.
// Dynamic shared memory: multi-spin coding of 2, 4, 8 classes: w·256·(3, 4, 5) bytes, twice that in wide kernels; the others
// none.
// Alignment: that of the elements.
// Contract: bits.
// options: --fmad=false
#include "multi_spin.cuh"
#include "spin_counts.cuh"

using u8 = unsigned char;

#define SCHEDULE_PARAMETERS \
    const u32 *sites, const u32 *levels, u32 n, u32 pitch, u32 first_level, u32 last_level, u32 key0, u32 key1, \
        u32 first_group, const u32 *sweeps, const float *betas, u32 count
#define SCHEDULE \
    Schedule { sites, levels, n, pitch, first_level, last_level, {key0, key1}, first_group, sweeps, betas, count }

// A lane has a read. Each draws the first eight bits for a site of its own, of all reads, before the warp visits the 32
// sites in turn.
template <bool HEAT_BATH>
void lanes(u32* words, const u32* rows, const u32* columns, const float* weights, const float* fields,
           const Schedule& at) {
    words += u64(blockIdx.x) * at.pitch;
    const u32 lane = threadIdx.x % 32, warp = (blockIdx.y * blockDim.x + threadIdx.x) / 32;
    const u32 step = gridDim.y * blockDim.x, group = at.first_group + blockIdx.x;
    for (u32 s = 0; s < at.count; s++) {
        const u32 sweep = at.sweeps[s];
        const float beta = at.betas[(u64(s) * gridDim.x + blockIdx.x) * 32 + lane];
        for (u32 level = at.first_level; level < at.last_level; level++) {
            const u32 end = at.levels[level + 1];
            for (u32 first = at.levels[level] + warp * 32; first < end; first += step) {
                const u32 mine = min(first + lane, end - 1), site = at.sites[mine];
                const Words high = planes(at.key, sweep, site, ACCEPT, 0, group);
                const Words low = planes(at.key, sweep, site, ACCEPT, 1, group);
#pragma unroll 1
                for (u32 j = 0; j < min(32u, end - first); j++) {
                    Words one, two;
#pragma unroll
                    for (u32 plane = 0; plane < 4; plane++) {
                        one.word[plane] = __shfl_sync(~0u, high.word[plane], j);
                        two.word[plane] = __shfl_sync(~0u, low.word[plane], j);
                    }
                    const u32 p = first + j, own = words[p] >> lane & 1;
                    float field = fields[p];
                    const u32 last = rows[p + 1];
                    for (u32 e = rows[p]; e < last; e++) {
                        const float weight = weights[e];
                        field += words[columns[e]] >> lane & 1 ? weight : -weight;
                    }
                    const Draw draw{at.key, sweep, __shfl_sync(~0u, site, j), group, lane,
                                    nibble(one, lane) << 4 | nibble(two, lane)};
                    const bool below = draw.below(threshold<HEAT_BATH>(own ? field : -field, field, beta));
                    const u32 word = __ballot_sync(~0u, HEAT_BATH ? below : below != own);
                    __syncwarp(); // all have read their spins
                    if (lane == 0) words[p] = word;
                }
            }
            __syncthreads();
        }
    }
}

#define MULTI_SPIN(name, HEAT_BATH, DIGITS, GROUPS) \
    extern "C" __global__ void __launch_bounds__(512) \
        name(u32* words, const u32* totals, const u32* bonds, float unit, SCHEDULE_PARAMETERS) { \
        multi_spin<HEAT_BATH, DIGITS, GROUPS>(words, totals, bonds, unit, SCHEDULE); \
    }
#define LANES(name, HEAT_BATH) \
    extern "C" __global__ void __launch_bounds__(1024) \
        name(u32* words, const u32* rows, const u32* columns, const float* weights, const float* fields, \
             SCHEDULE_PARAMETERS) { \
        lanes<HEAT_BATH>(words, rows, columns, weights, fields, SCHEDULE); \
    }

// budget: 64 registers
MULTI_SPIN(ising_metropolis_2, false, 1, 1)
MULTI_SPIN(ising_metropolis_4, false, 2, 1)
MULTI_SPIN(ising_heat_bath_8, true, 3, 1)
MULTI_SPIN(ising_metropolis_2_wide, false, 1, 2)
MULTI_SPIN(ising_metropolis_4_wide, false, 2, 2)
LANES(ising_metropolis, false)
LANES(ising_heat_bath, true)

// budget: 80 registers
MULTI_SPIN(ising_heat_bath_8_wide, true, 3, 2)

// budget: 40 registers
extern "C" __global__ void __launch_bounds__(256)
    ising_start(u32* words, const u32* sites, u32 n, u32 pitch, u32 key0, u32 key1, u32 first_group) {
    words += u64(blockIdx.y) * pitch;
    for (u32 p = blockIdx.x * blockDim.x + threadIdx.x; p <= n; p += gridDim.x * blockDim.x) {
        // u < 2^31 where the highest bit is 0
        words[p] = p < n ? ~planes({key0, key1}, 0, sites[p], START, 0, first_group + blockIdx.y).word[0] : ~0u;
    }
}

// budget: 64 registers
// The sums have the order of the sites: warps work out what 64 of them add, then one thread a read adds it.
extern "C" __global__ void __launch_bounds__(256)
    ising_energies(const u32* words, const u32* rows, const u32* columns, const double* weights, const double* fields,
                   const u32* positions, u32 n, u32 pitch, double offset, double* energies) {
    enum : u32 { SITES = 64 };
    __shared__ double terms[2][SITES][32]; // of the couplings, and of the fields
    words += u64(blockIdx.x) * pitch;
    const u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    double sum = -0.0; // warp 0: of the couplings, warp 1: of the fields
    for (u32 first = 0; first < n; first += SITES) {
        const u32 count = min(n - first, u32(SITES));
        for (u32 i = warp; i < count; i += 8) {
            const u32 p = positions[first + i], last = rows[p + 1];
            double around = -0.0;
            for (u32 e = rows[p]; e < last; e++) {
                around += words[columns[e]] >> lane & 1 ? weights[e] : -weights[e];
            }
            const bool up = words[p] >> lane & 1;
            terms[0][i][lane] = up ? around : -around;
            terms[1][i][lane] = up ? fields[p] : -fields[p];
        }
        __syncthreads();
        if (warp < 2) {
            for (u32 i = 0; i < count; i++) sum += terms[warp][i][lane];
        }
        __syncthreads();
    }
    if (warp < 2) terms[warp][0][lane] = sum;
    __syncthreads();
    if (warp == 0) energies[blockIdx.x * 32 + lane] = offset - 0.5 * terms[0][0][lane] - terms[1][0][lane];
}

extern "C" __global__ void __launch_bounds__(256)
    ising_satisfied(const u32* words, const u32* totals, const u32* bonds, u32 n, u32 pitch, u64* counts) {
    words += u64(blockIdx.y) * pitch, counts += blockIdx.y * 32;
    u64* of_fields = counts + gridDim.y * 32;
    const u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32, step = gridDim.x * blockDim.x;
    Sums couplings, fields;
    u32 visited = 0;
    for (u32 first = blockIdx.x * blockDim.x + warp * 32; first < n; first += step) {
        const u32 p = first + lane;
        if (p < n) {
            const u32 own = words[p], total = totals[p];
            for (u32 i = 0; i < total; i++) {
                const u32 bond = bonds[u64(i) * n + p], other = bond & 0x7fffffff;
                const u32 satisfied = own ^ words[other] ^ ((bond >> 31) - 1);
                if (other == n) fields.add(satisfied);
                else couplings.add(satisfied);
            }
        }
        if (++visited % (Sums::MOST / LARGEST) == 0) couplings.flush(counts, lane), fields.flush(of_fields, lane);
    }
    couplings.flush(counts, lane), fields.flush(of_fields, lane);
}

extern "C" __global__ void __launch_bounds__(256)
    ising_resample(const u32* words, u32* to, const u32* parents, u32 n, u32 pitch) {
    parents += blockIdx.y * 32;
    for (u32 p = blockIdx.x * blockDim.x + threadIdx.x; p <= n; p += gridDim.x * blockDim.x) {
        u32 word = 0;
        for (u32 read = 0; read < 32; read++) {
            const u32 parent = parents[read];
            word |= (words[u64(parent / 32) * pitch + p] >> parent % 32 & 1) << read;
        }
        to[u64(blockIdx.y) * pitch + p] = word;
    }
}

extern "C" __global__ void __launch_bounds__(256)
    ising_values(const u32* words, const u32* positions, u8* values, u32 n, u32 pitch, u32 read) {
    for (u32 k = blockIdx.x * blockDim.x + threadIdx.x; k < n; k += gridDim.x * blockDim.x) {
        values[k] = words[u64(read / 32) * pitch + positions[k]] >> read % 32 & 1;
    }
}

extern "C" __global__ void __launch_bounds__(256)
    ising_set_values(u32* words, const u32* positions, const u8* values, u32 n, u32 pitch, u32 read) {
    for (u32 k = blockIdx.x * blockDim.x + threadIdx.x; k < n; k += gridDim.x * blockDim.x) {
        u32& word = words[u64(read / 32) * pitch + positions[k]];
        word = (word & ~(1u << read % 32)) | u32(values[k]) << read % 32;
    }
}
