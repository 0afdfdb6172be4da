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
//   group_norm_apply_T, group_norm_apply_silu_T(const T* x, const T* gain, const T* bias, const Statistics* statistics,
//                                               T* y, u32 pixels, u32 channels, u32 groups, u32 chunk, u32 slab)
//
// T: f32, f16, bf16, L = 16 / sizeof T. x, y: [samples, pixels, channels], contiguous; y may be x. gain, bias:
// [channels]. `groups` divides `channels`; a group has fewer than 2^31 elements.
// A sample's pixels are cut into chunks of `chunk` pixels, its channels into slabs of `slab` channels, whole groups;
// there are C = ⌈pixels/chunk⌉ chunks and S = ⌈channels/slab⌉ slabs. A block has a chunk of a slab.
// partial: [samples, groups, C], 8 bytes each. statistics: [samples, groups], 16 bytes each. moments: [2, samples, groups],
// μ and 1/√(σ² + eps).
// Launch: moments and apply: grid (samples·C, S, 1), block (a, b, 1) with a·b a multiple of 32, at most 512, and a·L ≥
// slab; a thread has L channels of every b-th pixel. combine: grid (samples·groups, 1, 1), block (32·w, 1, 1), w ≤ 32.
// Dynamic shared memory: moments: 8·a·b·L bytes; the others none.
// Alignment: that of T; partial 8, statistics 16 bytes. If the pointers are multiples of 16 bytes and `channels` and
// `slab` of L, 16 bytes are moved at once; the bits are the same.
// Contract: everything is measured from K, the first element of the group (Chan, Golub & LeVeque 1983), by fours of
// pixels in two passes, which are joined pairwise (ibid.). With u = 2^-24, k = ⌈chunk/(4b)⌉ + width + C + 20 and
// D = √(mean (x - K)²), the mean of x - K is off by at most k·u·D, σ² by at most 2·k·u·σ·D; (x - K)·s + (bias - mean·s)
// with s = gain/√(σ² + eps) rounds by at most 6u·(|x - K| + D)·|s| + 2u·|bias|. The bits depend on a, b, w, chunk and
// slab.
#include "activation.cuh"
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

template <class T>
Statistics combine(const T* x, const Moments* partial, u32 pixels, u32 channels, u32 groups, u32 chunk_pixels,
                   float eps) {
    const u32 chunks = (pixels + chunk_pixels - 1) / chunk_pixels, width = channels / groups;
    const u32 sample = blockIdx.x / groups, group = blockIdx.x % groups;
    const float elements = float(pixels * width);
    float mean = 0, squares = 0;
    const auto each = [&](const auto& f) {
        for (u32 chunk = threadIdx.x; chunk < chunks; chunk += blockDim.x) {
            const u32 there = min(chunk_pixels, pixels - chunk * chunk_pixels);
            f(float(there * width), partial[u64(blockIdx.x) * chunks + chunk]);
        }
    };
    each([&](float n, const Moments& part) { mean += n * part.mean; });
    mean = block_reduce<Sum>(mean) / elements;
    each([&](float n, const Moments& part) {
        const float distance = part.mean - mean;
        squares += part.squares + n * (distance * distance);
    });
    const float variance = block_reduce<Sum>(squares) / elements;
    return {widen(x[u64(sample) * pixels * channels + group * width]), mean, 1.0f / sqrtf(variance + eps), 0};
}

template <bool SILU, class T>
void apply(const T* x, const T* gain, const T* bias, const Statistics* statistics, T* y, u32 pixels, u32 channels,
           u32 groups, u32 chunk_pixels, u32 slab) {
    const Share<T> share(pixels, channels, chunk_pixels, slab, aligned16(x, gain, bias, y));
    share.each([&](auto kind, u32 channel) {
        constexpr u32 LANES = sizeof(kind) / sizeof(T);
        const auto gains = load<T, LANES>(gain + channel), biases = load<T, LANES>(bias + channel);
        float base[LANES], scale[LANES], term[LANES];
#pragma unroll
        for (u32 k = 0; k < LANES; k++) {
            const Statistics of = statistics[u64(share.sample) * groups + (channel + k) / (channels / groups)];
            base[k] = of.base;
            scale[k] = of.rstd * widen(gains.lane[k]);
            term[k] = widen(biases.lane[k]) - of.mean * scale[k];
        }
#pragma unroll 2
        for (u32 pixel = share.first; pixel < share.last; pixel += blockDim.y) {
            const u64 at = share.start + u64(pixel) * channels + channel;
            auto pack = load<T, LANES>(x + at);
#pragma unroll
            for (u32 k = 0; k < LANES; k++) {
                float z = (widen(pack.lane[k]) - base[k]) * scale[k] + term[k];
                if (SILU) z = Silu::of(z);
                pack.lane[k] = narrow<T>(z);
            }
            *reinterpret_cast<Pack<T, LANES>*>(y + at) = pack;
        }
    });
}

#define APPLY(name, SILU, T) \
    extern "C" __global__ void __launch_bounds__(512) \
        name(const T* x, const T* gain, const T* bias, const Statistics* statistics, T* y, u32 pixels, u32 channels, \
             u32 groups, u32 chunk, u32 slab) { \
        apply<SILU>(x, gain, bias, statistics, y, pixels, channels, groups, chunk, slab); \
    }
#define GROUP_NORM(moments_name, combine_name, combine_moments_name, apply_name, apply_silu_name, T) \
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
    } \
    APPLY(apply_name, false, T) \
    APPLY(apply_silu_name, true, T)

// budget: 112 registers
GROUP_NORM(group_norm_moments_f32, group_norm_combine_f32, group_moments_combine_f32, group_norm_apply_f32,
           group_norm_apply_silu_f32, float)
GROUP_NORM(group_norm_moments_f16, group_norm_combine_f16, group_moments_combine_f16, group_norm_apply_f16,
           group_norm_apply_silu_f16, f16)
GROUP_NORM(group_norm_moments_bf16, group_norm_combine_bf16, group_moments_combine_bf16, group_norm_apply_bf16,
           group_norm_apply_silu_bf16, bf16)
