// Group normalisation (Wu & He 2018) of large pictures, in three launches that read and write whole pixels:
//
//   z[n][p][c] = (x[n][p][c] - μ) / √(σ² + eps) · gain[c] + bias[c],    y = z,  or with silu  y = z·sigmoid(z)
//
// μ and σ² are the mean and the variance over the pixels and channels of the group of c in sample n.
// group_norm_silu.cu does the same in one launch, for groups that a block can hold.
//
//   group_norm_moments_T(const T* x, Moments* partial, u32 pixels, u32 channels, u32 groups, u32 chunk, u32 slab)
//   group_norm_combine_T(const T* x, const Moments* partial, Statistics* statistics,
//                        u32 pixels, u32 channels, u32 groups, u32 chunk, float eps)
//   group_moments_combine_T(const T* x, const Moments* partial, float* moments,
//                           u32 pixels, u32 channels, u32 groups, u32 chunk, float eps)
//   group_norm_apply_T, group_norm_apply_silu_T, group_norm_apply_T_Y, group_norm_apply_silu_T_Y(
//       const T* x, const T* gain, const T* bias, const Statistics* statistics, const Moments* partial, Y* y,
//       u32 pixels, u32 channels, u32 groups, u32 chunk, u32 slab, float eps)
//
// T: f32, f16, bf16, L = 16 / sizeof T. Y: T if it is not named; f16 and bf16 of f32. x, y: [samples, pixels, channels],
// contiguous; y may be x if Y is T. Where `partial` is not null, apply joins the moments of chunks itself, by a warp a
// group, and needs no statistics. gain, bias:
// [channels]. `groups` divides `channels`; a group has fewer than 2^31 elements.
// A sample's pixels are cut into chunks of `chunk` pixels, its channels into slabs of `slab` channels, whole groups;
// there are C = ⌈pixels/chunk⌉ chunks and S = ⌈channels/slab⌉ slabs. A block has a chunk of a slab.
// partial: [samples, groups, C], 8 bytes each. statistics: [samples, groups], 16 bytes each. moments: [2, samples, groups],
// μ and 1/√(σ² + eps).
// Launch: moments and apply: grid (samples·C, S, 1), block (a, b, 1) with a·b a multiple of 32, at most 512, and a·L ≥
// slab; a thread has L channels of every b-th pixel. combine: grid (samples·groups, 1, 1), block (32·w, 1, 1), w ≤ 32.
// Dynamic shared memory: moments: 8·a·b·L bytes; apply: 16 bytes for each group of a slab if it has partial; else none.
// Alignment: that of T; partial 8, statistics 16 bytes. If the pointers are multiples of 16 bytes and `channels` and
// `slab` of L, 16 bytes are moved at once; the bits are the same.
// Contract: everything is measured from K, the first element of the group (Chan, Golub & LeVeque 1983), by fours of
// pixels in two passes, which are joined pairwise (ibid.). With u = 2^-24, k = ⌈chunk/(4b)⌉ + width + C + 20 and
// D = √(mean (x - K)²), the mean of x - K is off by at most k·u·D, σ² by at most 2·k·u·σ·D; (x - K)·s + (bias - mean·s)
// with s = gain/√(σ² + eps) rounds by at most 6u·(|x - K| + D)·|s| + 2u·|bias|. The bits depend on a, b, w, chunk and
// slab.
#include "activation.cuh"
#include "finish.cuh"
#include "picture.cuh"
#include "reduce.cuh"

struct alignas(8) Moments {
    float mean, squares; // of what is measured from K: Σ x / n, and Σ (x - mean)²
};

struct alignas(16) Statistics {
    float base, mean, rstd, unused; // μ = base + mean
};

template <class T>
void moments(const T* x, Moments* partial, u32 pixels, u32 channels, u32 groups, u32 chunk_pixels, u32 slab) {
    extern __shared__ __align__(16) Moments shared[]; // [b][a·L]
    const Share<T> share(pixels, channels, chunk_pixels, slab, aligned16(x));
    const u32 width = channels / groups, row = blockDim.x * Share<T>::LANES;
    Moments* here = shared + threadIdx.y * row - blockIdx.y * slab;
    share.each([&](auto kind, u32 channel) {
        constexpr u32 LANES = sizeof(kind) / sizeof(T), BATCH = 4;
        const T* sample = x + share.start;
        float base[LANES];
#pragma unroll
        for (u32 k = 0; k < LANES; k++) base[k] = widen(sample[(channel + k) / width * width]);
        Moments sum[LANES] = {};
        float count = 0;
#pragma unroll 1
        for (u32 pixel = share.first; pixel < share.last; pixel += BATCH * blockDim.y) {
            const u32 there = min(BATCH, (share.last - pixel + blockDim.y - 1) / blockDim.y);
            Pack<T, LANES> pack[BATCH] = {};
#pragma unroll
            for (u32 i = 0; i < BATCH; i++) {
                if (i < there) pack[i] = load<T, LANES>(sample + u64(pixel + i * blockDim.y) * channels + channel);
            }
            const float n = float(there), all = count + n, inverse = 1 / n, weight = n / all;
#pragma unroll
            for (u32 k = 0; k < LANES; k++) {
                float value[BATCH], mean = 0, squares = 0;
#pragma unroll
                for (u32 i = 0; i < BATCH; i++) {
                    value[i] = i < there ? widen(pack[i].lane[k]) - base[k] : 0;
                    mean += value[i];
                }
                mean *= inverse;
#pragma unroll
                for (u32 i = 0; i < BATCH; i++) {
                    const float distance = i < there ? value[i] - mean : 0;
                    squares += distance * distance;
                }
                const float distance = mean - sum[k].mean;
                sum[k].mean += distance * weight;
                sum[k].squares += squares + distance * distance * (count * weight);
            }
            count = all;
        }
#pragma unroll
        for (u32 k = 0; k < LANES; k++) here[channel + k] = sum[k];
    });
    __syncthreads();

    // A warp joins the channels of a group.
    const u32 thread = threadIdx.y * blockDim.x + threadIdx.x, lane = thread % WARP;
    const u32 chunk_first = share.chunk * chunk_pixels, in_slab = (share.end - blockIdx.y * slab) / width;
    const float elements = float((share.last - chunk_first) * width);
    for (u32 group = thread / WARP; group < in_slab; group += blockDim.x * blockDim.y / WARP) {
        float mean = 0, squares = 0;
        const auto each = [&](const auto& f) {
            for (u32 i = lane; i < blockDim.y * width; i += WARP) {
                const u32 y = i / width, from = chunk_first + y;
                const u32 n = from < share.last ? (share.last - from + blockDim.y - 1) / blockDim.y : 0;
                f(float(n), shared[y * row + group * width + i % width]);
            }
        };
        each([&](float n, const Moments& part) { mean += n * part.mean; });
        mean = warp_reduce<Sum>(mean) / elements;
        each([&](float n, const Moments& part) {
            const float distance = part.mean - mean;
            squares += part.squares + n * (distance * distance);
        });
        squares = warp_reduce<Sum>(squares);
        const u32 chunks = (pixels + chunk_pixels - 1) / chunk_pixels, all = blockIdx.y * slab / width + group;
        if (lane == 0) partial[(u64(share.sample) * groups + all) * chunks + share.chunk] = {mean, squares};
    }
}

// Joins what the chunks of a group have, by as many threads as `reduce` goes over.
template <class T, class Reduce>
Statistics join(const T* x, const Moments* partial, u32 sample, u32 group, u32 pixels, u32 channels, u32 groups,
                u32 chunk_pixels, float eps, u32 thread, u32 threads, const Reduce& reduce) {
    const u32 chunks = (pixels + chunk_pixels - 1) / chunk_pixels, width = channels / groups;
    const Moments* const parts = partial + (u64(sample) * groups + group) * chunks;
    const float elements = float(pixels * width);
    float mean = 0, squares = 0;
    const auto each = [&](const auto& f) {
        for (u32 chunk = thread; chunk < chunks; chunk += threads) {
            const u32 there = min(chunk_pixels, pixels - chunk * chunk_pixels);
            f(float(there * width), parts[chunk]);
        }
    };
    each([&](float n, const Moments& part) { mean += n * part.mean; });
    mean = reduce(mean) / elements;
    each([&](float n, const Moments& part) {
        const float distance = part.mean - mean;
        squares += part.squares + n * (distance * distance);
    });
    const float variance = reduce(squares) / elements;
    return {widen(x[u64(sample) * pixels * channels + group * width]), mean, 1.0f / sqrtf(variance + eps), 0};
}

// By a block for each group.
template <class T>
Statistics combine(const T* x, const Moments* partial, u32 pixels, u32 channels, u32 groups, u32 chunk_pixels,
                   float eps) {
    return join(x, partial, blockIdx.x / groups, blockIdx.x % groups, pixels, channels, groups, chunk_pixels, eps,
                threadIdx.x, blockDim.x, [](float a) { return block_reduce<Sum>(a); });
}

template <bool SILU, class T, class Y>
void apply(const T* x, const T* gain, const T* bias, const Statistics* statistics, const Moments* partial, Y* y,
           u32 pixels, u32 channels, u32 groups, u32 chunk_pixels, u32 slab, float eps) {
    extern __shared__ __align__(16) Statistics joined[]; // of the slab's groups
    const Share<T> share(pixels, channels, chunk_pixels, slab, aligned16(x, gain, bias, y));
    const u32 width = channels / groups, first_group = blockIdx.y * slab / width;
    if (partial) {
        const u32 thread = threadIdx.y * blockDim.x + threadIdx.x, in_slab = (share.end - blockIdx.y * slab) / width;
        for (u32 group = thread / WARP; group < in_slab; group += blockDim.x * blockDim.y / WARP) {
            const Statistics all =
                join(x, partial, share.sample, first_group + group, pixels, channels, groups, chunk_pixels, eps,
                     thread % WARP, WARP, [](float a) { return warp_reduce<Sum>(a); });
            if (thread % WARP == 0) joined[group] = all;
        }
        __syncthreads();
    }
    const Statistics* const of = partial ? joined : statistics + (u64(share.sample) * groups + first_group);
    share.each([&](auto kind, u32 channel) {
        constexpr u32 LANES = sizeof(kind) / sizeof(T);
        const auto gains = load<T, LANES>(gain + channel), biases = load<T, LANES>(bias + channel);
        float base[LANES], scale[LANES], term[LANES];
#pragma unroll
        for (u32 k = 0; k < LANES; k++) {
            const Statistics all = of[(channel + k) / width - first_group];
            base[k] = all.base;
            scale[k] = all.rstd * widen(gains.lane[k]);
            term[k] = widen(biases.lane[k]) - all.mean * scale[k];
        }
#pragma unroll 2
        for (u32 pixel = share.first; pixel < share.last; pixel += blockDim.y) {
            const u64 at = share.start + u64(pixel) * channels + channel;
            const auto pack = load<T, LANES>(x + at);
            float z[LANES];
#pragma unroll
            for (u32 k = 0; k < LANES; k++) {
                z[k] = (widen(pack.lane[k]) - base[k]) * scale[k] + term[k];
                if (SILU) z[k] = Silu::of(z[k]);
            }
            finish<LANES>(y + at, z, at, channel);
        }
    });
}

#define APPLY(name, SILU, T, Y) \
    extern "C" __global__ void __launch_bounds__(512, 2) \
        name(const T* x, const T* gain, const T* bias, const Statistics* statistics, const Moments* partial, Y* y, \
             u32 pixels, u32 channels, u32 groups, u32 chunk, u32 slab, float eps) { \
        apply<SILU>(x, gain, bias, statistics, partial, y, pixels, channels, groups, chunk, slab, eps); \
    }
#define GROUP_NORM(moments_name, combine_name, combine_moments_name, T) \
    extern "C" __global__ void __launch_bounds__(512) \
        moments_name(const T* x, Moments* partial, u32 pixels, u32 channels, u32 groups, u32 chunk, u32 slab) { \
        moments(x, partial, pixels, channels, groups, chunk, slab); \
    } \
    extern "C" __global__ void __launch_bounds__(1024) \
        combine_name(const T* x, const Moments* partial, Statistics* statistics, u32 pixels, u32 channels, \
                     u32 groups, u32 chunk, float eps) { \
        const Statistics all = combine(x, partial, pixels, channels, groups, chunk, eps); \
        if (threadIdx.x == 0) statistics[blockIdx.x] = all; \
    } \
    extern "C" __global__ void __launch_bounds__(1024) \
        combine_moments_name(const T* x, const Moments* partial, float* moments, u32 pixels, u32 channels, \
                             u32 groups, u32 chunk, float eps) { \
        const Statistics all = combine(x, partial, pixels, channels, groups, chunk, eps); \
        if (threadIdx.x == 0) moments[blockIdx.x] = all.base + all.mean, moments[gridDim.x + blockIdx.x] = all.rstd; \
    }

// budget: 112 registers
GROUP_NORM(group_norm_moments_f32, group_norm_combine_f32, group_moments_combine_f32, float)
GROUP_NORM(group_norm_moments_f16, group_norm_combine_f16, group_moments_combine_f16, f16)
GROUP_NORM(group_norm_moments_bf16, group_norm_combine_bf16, group_moments_combine_bf16, bf16)
APPLY(group_norm_apply_f32, false, float, float)
APPLY(group_norm_apply_f32_f16, false, float, f16)
APPLY(group_norm_apply_f32_bf16, false, float, bf16)
APPLY(group_norm_apply_f16, false, f16, f16)
APPLY(group_norm_apply_bf16, false, bf16, bf16)
APPLY(group_norm_apply_silu_f32, true, float, float)
APPLY(group_norm_apply_silu_f32_f16, true, float, f16)
APPLY(group_norm_apply_silu_f32_bf16, true, float, bf16)
APPLY(group_norm_apply_silu_f16, true, f16, f16)
APPLY(group_norm_apply_silu_bf16, true, bf16, bf16)
