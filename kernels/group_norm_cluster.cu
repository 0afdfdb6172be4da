// Group norm by a cluster of eight blocks for each group (sm_90), so that more elements are read once. Formulas, parameters and
// alignment: group_norm_silu.cu.
//
//   group_norm_cluster_T, group_norm_cluster_silu_T, group_norm_cluster_T_Y, group_norm_cluster_silu_T_Y
//
// Launch: grid (8 · samples · groups, 1, 1). Block: (32·w, 1, 1), 1 ≤ w ≤ 32. Each block has an eighth of the pixels.
// Contract: as there, with t threads in a cluster and eight units u more.
// targets: sm_90a
#include "cluster.cuh"
#include "group.cuh"

enum : u32 { BLOCKS = 8 };

template <bool SILU, class T, class Y>
void group_norm(const T* x, const T* gain, const T* bias, Y* y, u32 pixels, u32 channels, u32 groups, float eps) {
    __shared__ float parts[2];
    const u32 number = blockIdx.x / BLOCKS, width = channels / groups, each = (pixels + BLOCKS - 1) / BLOCKS;
    const u32 from = min(cluster_rank() * each, pixels), channel = number % groups * width;
    const u64 start = (u64(number / groups) * pixels + from) * channels + channel;
    const Group<T> group(x + start, min(each, pixels - from), channels, width);
    float mean, rstd, *part = parts;
    group.moments(float(pixels * width), eps, mean, rstd, [&](float x) { return cluster_sum<BLOCKS>(x, part++); });
    cluster_arrive();
    group.template finish<SILU>(mean, rstd, gain, bias, y, start, channel);
    cluster_wait();
}

#define GROUP_NORM(name, SILU, T, Y) \
    extern "C" __global__ void __cluster_dims__(BLOCKS, 1, 1) __launch_bounds__(1024) name( \
        const T* x, const T* gain, const T* bias, Y* y, u32 pixels, u32 channels, u32 groups, float eps) { \
        group_norm<SILU>(x, gain, bias, y, pixels, channels, groups, eps); \
    }

// budget: 64 registers
GROUP_NORM(group_norm_cluster_f32, false, float, float)
GROUP_NORM(group_norm_cluster_f32_f16, false, float, f16)
GROUP_NORM(group_norm_cluster_f32_bf16, false, float, bf16)
GROUP_NORM(group_norm_cluster_f16, false, f16, f16)
GROUP_NORM(group_norm_cluster_bf16, false, bf16, bf16)
GROUP_NORM(group_norm_cluster_silu_f32, true, float, float)
GROUP_NORM(group_norm_cluster_silu_f32_f16, true, float, f16)
GROUP_NORM(group_norm_cluster_silu_f32_bf16, true, float, bf16)
GROUP_NORM(group_norm_cluster_silu_f16, true, f16, f16)
GROUP_NORM(group_norm_cluster_silu_bf16, true, bf16, bf16)
