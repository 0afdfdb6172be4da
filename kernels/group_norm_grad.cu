// Gradients of group normalisation (Wu & He 2018), from moments that group_norm.cu or group_norm_silu.cu gave.
//
// With x̂ = (x - μ)·rstd, h = g·gain, and means over the pixels and channels of a group:
//
//   sums[0][n][c] = Σ_p g·x̂     sums[1][n][c] = Σ_p g     y = rstd·(h - mean h - x̂·mean(h·x̂))
//
//   group_norm_sums_T(const T* g, const T* x, const float* moments, float* parts,
//                     u32 samples, u32 pixels, u32 channels, u32 groups, u32 chunk, u32 slab)
//   group_norm_grad_T(const T* g, const T* x, const T* gain, const float* moments, const float* sums, T* y,
//                     u32 samples, u32 pixels, u32 channels, u32 groups, u32 chunk, u32 slab)
//
// T: f32, f16, bf16, L = 16 / sizeof T. g, x, y: [samples, pixels, channels], contiguous; y may be g or x. gain:
// [channels]. moments: [2, samples, groups]. sums: [2, samples, channels]. parts: [C, 2, samples, channels], each
// chunk's share of the sums; with C = 1 the sums themselves.
// Chunks, slabs, a, b and C are as group_norm.cu has them. Launch: grid (samples·C, S, 1), block (a, b, 1).
// Dynamic shared memory: sums: 8·a·b·L bytes; grad: 8 bytes for each group of a slab.
// Alignment: that of T; moments and sums 4 bytes. If the pointers are multiples of 16 bytes and `channels` and `slab` of
// L, 16 bytes are moved at once; the bits are the same.
// Contract: with u = 2^-24, sums of ⌈chunk/b⌉ + b terms one after the other, means of `width` by a tree. The bits depend
// on a, b, chunk and slab.
#include "picture.cuh"
#include "reduce.cuh"

struct alignas(8) Sums {
    float with, alone; // of g·x̂, and of g
};

template <class T>
void sums(const T* g, const T* x, const float* moments, float* parts, u32 samples, u32 pixels, u32 channels, u32 groups,
          u32 chunk_pixels, u32 slab) {
    extern __shared__ __align__(16) Sums shared[]; // [b][a·L]
    const Share<T> share(pixels, channels, chunk_pixels, slab, aligned16(g, x));
    const u32 row = blockDim.x * Share<T>::LANES, first = blockIdx.y * slab;
    Sums* here = shared + threadIdx.y * row;
    share.each([&](auto kind, u32 channel) {
        constexpr u32 LANES = sizeof(kind) / sizeof(T);
        float mean[LANES], rstd[LANES];
#pragma unroll
        for (u32 k = 0; k < LANES; k++) {
            const u32 group = share.sample * groups + (channel + k) / (channels / groups);
            mean[k] = moments[group], rstd[k] = moments[samples * groups + group];
        }
        Sums sum[LANES] = {};
#pragma unroll 2
        for (u32 pixel = share.first; pixel < share.last; pixel += blockDim.y) {
            const u64 at = share.start + u64(pixel) * channels + channel;
            const auto gs = load<T, LANES>(g + at), xs = load<T, LANES>(x + at);
#pragma unroll
            for (u32 k = 0; k < LANES; k++) {
                const float value = widen(gs.lane[k]);
                sum[k].with += value * ((widen(xs.lane[k]) - mean[k]) * rstd[k]);
                sum[k].alone += value;
            }
        }
#pragma unroll
        for (u32 k = 0; k < LANES; k++) here[channel - first + k] = sum[k];
    });
    __syncthreads();

    const u64 all = u64(samples) * channels, to = 2 * all * share.chunk + u64(share.sample) * channels;
    for (u32 i = threadIdx.y * blockDim.x + threadIdx.x; first + i < share.end; i += blockDim.x * blockDim.y) {
        Sums sum = shared[i];
        for (u32 y = 1; y < blockDim.y; y++) sum.with += shared[y * row + i].with, sum.alone += shared[y * row + i].alone;
        parts[to + first + i] = sum.with;
        parts[to + all + first + i] = sum.alone;
    }
}

template <class T>
void grad(const T* g, const T* x, const T* gain, const float* moments, const float* sums, T* y, u32 samples, u32 pixels,
          u32 channels, u32 groups, u32 chunk_pixels, u32 slab) {
    extern __shared__ __align__(16) Sums means[]; // of the slab's groups
    const Share<T> share(pixels, channels, chunk_pixels, slab, aligned16(g, x, gain, y));
    const u32 width = channels / groups, first = blockIdx.y * slab, in_slab = (share.end - first) / width;
    const u32 thread = threadIdx.y * blockDim.x + threadIdx.x, lane = thread % WARP;
    const float inverse = 1.0f / (float(pixels) * float(width));
    const u64 all = u64(samples) * channels, of_sample = u64(share.sample) * channels;
    for (u32 group = thread / WARP; group < in_slab; group += blockDim.x * blockDim.y / WARP) {
        float with = 0, alone = 0;
        for (u32 i = lane; i < width; i += WARP) {
            const u32 channel = first + group * width + i;
            const float factor = widen(gain[channel]);
            with += sums[of_sample + channel] * factor, alone += sums[all + of_sample + channel] * factor;
        }
        with = warp_reduce<Sum>(with), alone = warp_reduce<Sum>(alone);
        if (lane == 0) means[group] = {with * inverse, alone * inverse};
    }
    __syncthreads();

    share.each([&](auto kind, u32 channel) {
        constexpr u32 LANES = sizeof(kind) / sizeof(T);
        const auto gains = load<T, LANES>(gain + channel);
        float mean[LANES], rstd[LANES];
        Sums of[LANES];
#pragma unroll
        for (u32 k = 0; k < LANES; k++) {
            const u32 within = (channel + k) / width, group = share.sample * groups + within;
            mean[k] = moments[group], rstd[k] = moments[samples * groups + group];
            of[k] = means[within - first / width];
        }
#pragma unroll 2
        for (u32 pixel = share.first; pixel < share.last; pixel += blockDim.y) {
            const u64 at = share.start + u64(pixel) * channels + channel;
            const auto gs = load<T, LANES>(g + at);
            auto pack = load<T, LANES>(x + at);
#pragma unroll
            for (u32 k = 0; k < LANES; k++) {
                const float normal = (widen(pack.lane[k]) - mean[k]) * rstd[k];
                const float h = widen(gs.lane[k]) * widen(gains.lane[k]);
                pack.lane[k] = narrow<T>((h - of[k].alone - normal * of[k].with) * rstd[k]);
            }
            *reinterpret_cast<Pack<T, LANES>*>(y + at) = pack;
        }
    });
}

#define GROUP_NORM_GRAD(sums_name, grad_name, T) \
    extern "C" __global__ void __launch_bounds__(512) \
        sums_name(const T* g, const T* x, const float* moments, float* parts, u32 samples, u32 pixels, u32 channels, \
                  u32 groups, u32 chunk, u32 slab) { \
        sums(g, x, moments, parts, samples, pixels, channels, groups, chunk, slab); \
    } \
    extern "C" __global__ void __launch_bounds__(512) \
        grad_name(const T* g, const T* x, const T* gain, const float* moments, const float* from, T* y, u32 samples, \
                  u32 pixels, u32 channels, u32 groups, u32 chunk, u32 slab) { \
        grad(g, x, gain, moments, from, y, samples, pixels, channels, groups, chunk, slab); \
    }

// budget: 112 registers
GROUP_NORM_GRAD(group_norm_sums_f32, group_norm_grad_f32, float)
GROUP_NORM_GRAD(group_norm_sums_f16, group_norm_grad_f16, f16)
GROUP_NORM_GRAD(group_norm_sums_bf16, group_norm_grad_bf16, bf16)
