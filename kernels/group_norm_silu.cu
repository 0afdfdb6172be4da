// Group normalisation (Wu & He 2018) of pictures stored channel by channel within a pixel, perhaps with SiLU:
//
//   z[n][p][c] = (x[n][p][c] - μ) / √(σ² + eps) · gain[c] + bias[c],    y = z,  or with silu  y = z·sigmoid(z)
//
// μ and σ² are the mean and the variance over the pixels and channels of the group of c in sample n, σ² as the mean
// of squared distances from μ in a second pass.
//
//   group_norm_T, group_norm_silu_T, group_norm_T_Y, group_norm_silu_T_Y(
//       const T* x, const T* gain, const T* bias, Y* y, u32 pixels, u32 channels, u32 groups, float eps)
//   group_moments_T(const T* x, float* moments, u32 pixels, u32 channels, u32 groups, float eps)
//
// T: f32, f16, bf16. Y: T if it is not named; f16 and bf16 of f32. x, y: [samples, pixels, channels], contiguous; y may be
// x if Y is T. gain, bias: [channels]. moments: [2, samples, groups], μ and 1/√(σ² + eps).
// `groups` divides `channels`; a group has fewer than 2^31 elements.
// Launch: grid (samples · groups, 1, 1). Block: (32·w, 1, 1), 1 ≤ w ≤ 32. No dynamic shared memory.
// Groups of at most 20 elements a thread are read once. Alignment: that of T.
// Contract: with t threads in a block, m elements in a group and u = 2^-24, μ is off by at most
// (⌈m/t⌉ + 11)·u·mean|x|, σ² by a relative (⌈m/t⌉ + 14)·u and by the square of μ's error. The bits depend on w.
#include "group.cuh"

// The first element of a block's group.
u64 start(u32 pixels, u32 channels, u32 groups) {
    return u64(blockIdx.x / groups) * pixels * channels + blockIdx.x % groups * (channels / groups);
}

template <class T>
Group<T> measured(const T* x, u32 pixels, u32 channels, u32 groups, float eps, float& mean, float& rstd) {
    const u32 width = channels / groups;
    const Group<T> group(x + start(pixels, channels, groups), pixels, channels, width);
    group.moments(float(pixels * width), eps, mean, rstd, [](float x) { return block_reduce<Sum>(x); });
    return group;
}

template <bool SILU, class T, class Y>
void group_norm(const T* x, const T* gain, const T* bias, Y* y, u32 pixels, u32 channels, u32 groups, float eps) {
    float mean, rstd;
    const Group<T> group = measured(x, pixels, channels, groups, eps, mean, rstd);
    const u32 first = blockIdx.x % groups * group.width;
    group.template finish<SILU>(mean, rstd, gain, bias, y, start(pixels, channels, groups), first);
}

#define GROUP_NORM(name, SILU, T, Y) \
    extern "C" __global__ void __launch_bounds__(1024) name( \
        const T* x, const T* gain, const T* bias, Y* y, u32 pixels, u32 channels, u32 groups, float eps) { \
        group_norm<SILU>(x, gain, bias, y, pixels, channels, groups, eps); \
    }

#define GROUP_MOMENTS(name, T) \
    extern "C" __global__ void __launch_bounds__(1024) \
        name(const T* x, float* moments, u32 pixels, u32 channels, u32 groups, float eps) { \
        float mean, rstd; \
        measured(x, pixels, channels, groups, eps, mean, rstd); \
        if (threadIdx.x == 0) moments[blockIdx.x] = mean, moments[gridDim.x + blockIdx.x] = rstd; \
    }

// budget: 64 registers
GROUP_MOMENTS(group_moments_f32, float)
GROUP_MOMENTS(group_moments_f16, f16)
GROUP_MOMENTS(group_moments_bf16, bf16)
GROUP_NORM(group_norm_f32, false, float, float)
GROUP_NORM(group_norm_f32_f16, false, float, f16)
GROUP_NORM(group_norm_f32_bf16, false, float, bf16)
GROUP_NORM(group_norm_f16, false, f16, f16)
GROUP_NORM(group_norm_bf16, false, bf16, bf16)
GROUP_NORM(group_norm_silu_f32, true, float, float)
GROUP_NORM(group_norm_silu_f32_f16, true, float, f16)
GROUP_NORM(group_norm_silu_f32_bf16, true, float, bf16)
GROUP_NORM(group_norm_silu_f16, true, f16, f16)
GROUP_NORM(group_norm_silu_bf16, true, bf16, bf16)
