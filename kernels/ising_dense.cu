// Spins that are all coupled: a block has a read with its local fields, with the bits of `ScalarReplicas` in
// crates/energy.
//
//   ising_dense_start(u8* spins, u32 n, u32 key0, u32 key1, u32 first_read)
//   ising_dense_fields(const u8* spins, float* fields, const float* weights, const float* biases, u32 n)
//     the local fields, summed anew
//   ising_dense_metropolis, ising_dense_heat_bath
//     (u8* spins, float* fields, const float* weights, const float* biases, const u32* visits, u32 n, u32 key0, u32 key1,
//      u32 first_read, const u32* sweeps, const float* betas, u32 count)
//     sweeps in the order of the visits
//   ising_dense_step_metropolis, ising_dense_step_heat_bath
//     (u8* spins, float* fields, const float* weights, const Flips* before, Flips* flips, u32 n, u32 key0, u32 key1,
//      u32 first_read, u32 reads, u32 tile, u32 tile_before, u32 sweep, const float* betas)
//     a part of a sweep in the order of the sites: visits a tile of 128 and tells what flipped, and adds what flipped in
//     the tile before to all fields but those of the two, whose own flips are in them; a tile of 2^32 - 1 is none
//   ising_dense_sum(const u8* spins, float* fields, const float* weights, const float* biases, u32 n, u32 reads)
//     the local fields, summed anew, of many reads
//   ising_dense_energies(const u8* spins, const double* weights, const double* biases, u32 n, double offset,
//                        double* energies)
//   ising_dense_kept_energies(const u8* spins, const float* fields, const double* biases, u32 n, double offset,
//                             double* energies, u32 reads)
//     from the local fields
//   ising_dense_resample(const u8* spins, const float* fields, u8* to_spins, float* to_fields, const u32* parents, u32 n)
//   ising_dense_copy(const u8* from, u8* to, u32 n)    n bytes, by one block
//
// R reads; T = ⌈n/128⌉ tiles. spins: [R, n], 0 for -1 and 1 for +1; fields: [R, n]; weights: J, [n, n], symmetric, 0 on its
// diagonal; biases: h, [n]; visits: [n], each site once; sweeps: [count], their numbers; betas: [count, R], of a step [R];
// before, flips: [R]; parents: [R].
// Launch: steps: grid (V + A, 1, 1), with V the number of groups of 32 that the reads are in where a tile is visited, and
// A = T·⌈R/128⌉ where there is another tile before; sum: grid (T·⌈R/128⌉, 1, 1); both: block (512, 1, 1). The others: grid
// (R, 1, 1), block (32·w, 1, 1), w ≤ 32; energies: w = 8. kept_energies: 8·R threads or more.
// Dynamic shared memory: steps and sum: 69888 bytes; sweeps: 5·n bytes, rounded up to a multiple of 4; energies: n bytes;
// the others none.
// Alignment: that of the elements.
// Contract: bits. Local fields are summed anew before every sweep whose number is a multiple of 128.
// options: --fmad=false
#include "spin_tiles.cuh"

enum : u32 { REFRESH = 128 };

float spin(u8 value) { return value ? 1.0f : -1.0f; }

// Every field by one thread, with the additions in the order of the sites. J being symmetric, its rows are read.
void sum_fields(const u8* spins, float* fields, const float* weights, const float* biases, u32 n) {
    for (u32 k = threadIdx.x; k < n; k += blockDim.x) {
        float sum = biases[k];
        for (u32 l = 0; l < n; l++) sum += weights[u64(l) * n + k] * spin(spins[l]);
        fields[k] = sum;
    }
}

// The threads look at as many sites at once, as if none flipped. The first that does is taken, all threads bring the
// fields up to date, and those after it are looked at again.
template <bool HEAT_BATH>
void sweep_dense(u8* spins, float* fields, const float* weights, const float* biases, const u32* visits, u32 n, Key key,
                 u32 read, const u32* sweeps, const float* betas, u32 count) {
    extern __shared__ float own_fields[]; // [n], then the spins
    __shared__ u32 flipping[32];
    u8* own_spins = reinterpret_cast<u8*>(own_fields + n);
    const u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    spins += u64(blockIdx.x) * n, fields += u64(blockIdx.x) * n;
    for (u32 k = threadIdx.x; k < n; k += blockDim.x) own_spins[k] = spins[k], own_fields[k] = fields[k];
    __syncthreads();
    for (u32 s = 0; s < count; s++) {
        const u32 sweep = sweeps[s];
        const float beta = betas[u64(s) * gridDim.x + blockIdx.x];
        if (sweep % REFRESH == 0) {
            sum_fields(own_spins, own_fields, weights, biases, n);
            __syncthreads();
        }
        for (u32 base = 0; base < n; base += blockDim.x) {
            const bool there = base + threadIdx.x < n;
            const u32 site = visits[min(base + threadIdx.x, n - 1)], group = read / 32;
            const u32 high = nibble(planes(key, sweep, site, ACCEPT, 0, group), read % 32) << 4 |
                             nibble(planes(key, sweep, site, ACCEPT, 1, group), read % 32);
            const Draw draw{key, sweep, site, group, read % 32, high};
            u32 from = 0;
            while (true) {
                bool flips = false;
                if (there && threadIdx.x >= from) {
                    const bool up = own_spins[site];
                    const float field = own_fields[site];
                    const bool below = draw.below(threshold<HEAT_BATH>(up ? field : -field, field, beta));
                    flips = HEAT_BATH ? below != up : below;
                }
                const u32 here = __ballot_sync(~0u, flips);
                if (lane == 0) flipping[warp] = here;
                __syncthreads();
                u32 first = blockDim.x;
                for (u32 w = warps; w-- > 0;) {
                    if (flipping[w] != 0) first = w * 32 + __ffs(flipping[w]) - 1;
                }
                if (first == blockDim.x) break;
                const u32 k = visits[base + first];
                const float change = own_spins[k] ? -2.0f : 2.0f;
                for (u32 l = threadIdx.x; l < n; l += blockDim.x) own_fields[l] += change * weights[u64(k) * n + l];
                __syncthreads();
                if (threadIdx.x == first) own_spins[k] ^= 1;
                __syncthreads();
                from = first + 1;
            }
            __syncthreads(); // nobody looks at `flipping` any more
        }
    }
    for (u32 k = threadIdx.x; k < n; k += blockDim.x) spins[k] = own_spins[k], fields[k] = own_fields[k];
}

#define SWEEP(name, HEAT_BATH) \
    extern "C" __global__ void __launch_bounds__(1024) \
        name(u8* spins, float* fields, const float* weights, const float* biases, const u32* visits, u32 n, u32 key0, \
             u32 key1, u32 first_read, const u32* sweeps, const float* betas, u32 count) { \
        sweep_dense<HEAT_BATH>(spins, fields, weights, biases, visits, n, {key0, key1}, first_read + blockIdx.x, sweeps, \
                               betas, count); \
    }

// budget: 64 registers
SWEEP(ising_dense_metropolis, false)
SWEEP(ising_dense_heat_bath, true)

template <bool HEAT_BATH>
void step(u8* spins, float* fields, const Couplings& couplings, const Flips* before, Flips* flips, Visit at,
          u32 first_read, u32 reads, const float* betas) {
    VisitRoom& room = shared_room();
    const u32 first_group = first_read / 32, tiles = (couplings.n + SIDE - 1) / SIDE;
    const u32 visiting = at.tile == NONE ? 0 : (first_read + reads - 1) / 32 + 1 - first_group;
    if (blockIdx.x < visiting) {
        at.group = first_group + blockIdx.x;
        const u32 slot = 32 * at.group + threadIdx.x % 32 - first_read;
        const bool there = slot < reads;
        visit_tile<HEAT_BATH>(room, spins, fields, couplings, before, flips, at, slot, there, there ? betas[slot] : 0);
        return;
    }
    const u32 number = blockIdx.x - visiting, others = number % tiles, first = number / tiles * SIDE;
    if (others == at.before || others == at.tile) return;
    couplings.copy(room.weights, at.before, others);
    __syncthreads();
    add_flips(fields, before, room.weights, 2.0f, others, first, reads, couplings.n);
}

#define STEP(name, HEAT_BATH) \
    extern "C" __global__ void __launch_bounds__(512, 2) \
        name(u8* spins, float* fields, const float* weights, const Flips* before, Flips* flips, u32 n, u32 key0, u32 key1, \
             u32 first_read, u32 reads, u32 tile, u32 tile_before, u32 sweep, const float* betas) { \
        step<HEAT_BATH>(spins, fields, {weights, n}, before, flips, {{key0, key1}, sweep, 0, tile, tile_before}, \
                        first_read, reads, betas); \
    }

STEP(ising_dense_step_metropolis, false)
STEP(ising_dense_step_heat_bath, true)

// A block has 128 reads and a tile of fields: sums from its first tile of spins on.
extern "C" __global__ void __launch_bounds__(512, 2)
    ising_dense_sum(const u8* spins, float* fields, const float* weights, const float* biases, u32 n, u32 reads) {
    VisitRoom& room = shared_room();
    __shared__ Flips flips[SIDE];
    const u32 tiles = (n + SIDE - 1) / SIDE, others = blockIdx.x % tiles, first = blockIdx.x / tiles * SIDE;
    const u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32, count = min(reads - first, u32(SIDE));
    for (u32 i = threadIdx.x; i < count * SIDE; i += blockDim.x) {
        const u32 l = others * SIDE + i % SIDE;
        if (l < n) fields[u64(first + i / SIDE) * n + l] = biases[l];
    }
    for (u32 tile = 0; tile < tiles; tile++) {
        __syncthreads();
        Couplings{weights, n}.copy(room.weights, tile, others);
        for (u32 i = warp; i < count * (SIDE / 32); i += WARPS) {
            const u32 k = tile * SIDE + i % (SIDE / 32) * 32 + lane;
            const bool up = k < n && spins[u64(first + i / (SIDE / 32)) * n + k];
            const u32 there = __ballot_sync(~0u, k < n), ups = __ballot_sync(~0u, up);
            if (lane == 0) {
                flips[i / (SIDE / 32)].flipped[i % (SIDE / 32)] = there;
                flips[i / (SIDE / 32)].up[i % (SIDE / 32)] = ups;
            }
        }
        __syncthreads();
        add_flips(fields + u64(first) * n, flips, room.weights, 1.0f, others, 0, count, n);
    }
}

// budget: 40 registers
extern "C" __global__ void __launch_bounds__(1024)
    ising_dense_start(u8* spins, u32 n, u32 key0, u32 key1, u32 first_read) {
    const u32 read = first_read + blockIdx.x;
    for (u32 k = threadIdx.x; k < n; k += blockDim.x) {
        const u32 plane = planes({key0, key1}, 0, k, START, 0, read / 32).word[0];
        spins[u64(blockIdx.x) * n + k] = ~plane >> read % 32 & 1; // u < 2^31 where the highest bit is 0
    }
}

extern "C" __global__ void __launch_bounds__(1024)
    ising_dense_fields(const u8* spins, float* fields, const float* weights, const float* biases, u32 n) {
    sum_fields(spins + u64(blockIdx.x) * n, fields + u64(blockIdx.x) * n, weights, biases, n);
}

// Σ_l J_kl x_l in eight sums by l % 8, then those in order, then over k.
extern "C" __global__ void __launch_bounds__(256)
    ising_dense_energies(const u8* spins, const double* weights, const double* biases, u32 n, double offset,
                         double* energies) {
    extern __shared__ u8 own[];
    __shared__ double terms[256];
    spins += u64(blockIdx.x) * n;
    for (u32 k = threadIdx.x; k < n; k += blockDim.x) own[k] = spins[k];
    __syncthreads();
    double twice = -0.0, fields = -0.0;
    for (u32 first = 0; first < n; first += 256) {
        const u32 k = first + threadIdx.x;
        if (k < n) {
            double sums[8] = {}, around = -0.0;
            for (u32 start = 0; start < n; start += 8) {
#pragma unroll
                for (u32 i = 0; i < 8; i++) {
                    if (start + i < n) {
                        const double weight = weights[u64(start + i) * n + k];
                        sums[i] += own[start + i] ? weight : -weight;
                    }
                }
            }
#pragma unroll
            for (double sum : sums) around += sum;
            terms[threadIdx.x] = own[k] ? around : -around;
        }
        __syncthreads();
        if (threadIdx.x == 0) {
            for (u32 i = 0; i < min(n - first, 256u); i++) {
                twice += terms[i];
                fields += own[first + i] ? biases[first + i] : -biases[first + i];
            }
        }
        __syncthreads();
    }
    if (threadIdx.x == 0) energies[blockIdx.x] = offset - 0.5 * twice - fields;
}

// Σ_k x_k (h_k + λ_k) in eight sums by k % 8, a thread each, then those in order.
extern "C" __global__ void __launch_bounds__(1024)
    ising_dense_kept_energies(const u8* spins, const float* fields, const double* biases, u32 n, double offset,
                              double* energies, u32 reads) {
    const u32 thread = blockIdx.x * blockDim.x + threadIdx.x, part = thread % 8, read = thread / 8;
    const u64 own = u64(min(read, reads - 1)) * n;
    double sum = 0.0, all = -0.0;
    for (u32 k = part; k < n; k += 8) {
        const double term = biases[k] + double(fields[own + k]);
        sum += spins[own + k] ? term : -term;
    }
#pragma unroll
    for (u32 i = 0; i < 8; i++) all += __shfl_sync(~0u, sum, i, 8);
    if (part == 0 && read < reads) energies[read] = offset - 0.5 * all;
}

extern "C" __global__ void __launch_bounds__(1024)
    ising_dense_resample(const u8* spins, const float* fields, u8* to_spins, float* to_fields, const u32* parents,
                         u32 n) {
    const u64 from = u64(parents[blockIdx.x]) * n, to = u64(blockIdx.x) * n;
    for (u32 k = threadIdx.x; k < n; k += blockDim.x) {
        to_spins[to + k] = spins[from + k];
        to_fields[to + k] = fields[from + k];
    }
}

extern "C" __global__ void __launch_bounds__(1024) ising_dense_copy(const u8* from, u8* to, u32 n) {
    for (u32 k = threadIdx.x; k < n; k += blockDim.x) to[k] = from[k];
}
