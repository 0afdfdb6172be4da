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
#include "activation.cuh"
#include "finish.cuh"
#include "reduce.cuh"

// The elements of a group that belong to one thread: its first, then every blockDim.x-th, pixel after pixel.
struct Walk {
    u32 pixel, channel; // where it is; the channel within the group
    u32 pixel_step, channel_step, width;

    explicit Walk(u32 width)
        : pixel(threadIdx.x / width), channel(threadIdx.x % width), pixel_step(blockDim.x / width),
          channel_step(blockDim.x % width), width(width) {}

    void next() {
        pixel += pixel_step;
        channel += channel_step;
        if (channel >= width) {
            channel -= width;
            pixel++;
        }
    }
};

// A block's group.
template <class T> class Group {
    enum : u32 { HELD = 20 };
    u32 pixels, channels;
    const T* x; // its first element
    bool holds;
    float held[HELD]; // the thread's elements, if they are so few

  public:
    const u32 width;

    Group(const T* x, u32 pixels, u32 channels, u32 groups)
        : pixels(pixels), channels(channels), width(channels / groups) {
        this->x = x + start(groups);
        holds = pixels * width <= HELD * blockDim.x;
        if (!holds) return;
        Walk walk(width);
#pragma unroll
        for (u32 i = 0; i < HELD; i++) {
            if (walk.pixel < pixels) held[i] = widen(this->x[at(walk)]);
            walk.next();
        }
    }

    u64 start(u32 groups) const {
        return u64(blockIdx.x / groups) * pixels * channels + blockIdx.x % groups * width;
    }

    u64 at(const Walk& walk) const { return u64(walk.pixel) * channels + walk.channel; }

    // Calls f(where, x) for the thread's elements.
    template <class F> void each(const F& f) const {
        Walk walk(width);
        if (holds) {
#pragma unroll
            for (u32 i = 0; i < HELD; i++) {
                if (walk.pixel < pixels) f(walk, held[i]);
                walk.next();
            }
        } else {
            for (; walk.pixel < pixels; walk.next()) f(walk, widen(x[at(walk)]));
        }
    }

    // μ and 1/√(σ² + eps), for every thread.
    void moments(float eps, float& mean, float& rstd) const {
        const float count = float(pixels * width);
        float sum = 0, squares = 0;
        each([&](const Walk&, float x) { sum += x; });
        mean = block_reduce<Sum>(sum) / count;
        each([&](const Walk&, float x) {
            const float distance = x - mean;
            squares += distance * distance;
        });
        rstd = 1.0f / sqrtf(block_reduce<Sum>(squares) / count + eps);
    }
};

template <bool SILU, class T, class Y>
void group_norm(const T* x, const T* gain, const T* bias, Y* y, u32 pixels, u32 channels, u32 groups, float eps) {
    const Group<T> group(x, pixels, channels, groups);
    float mean, scale;
    group.moments(eps, mean, scale);
    const u64 start = group.start(groups);
    const u32 first = blockIdx.x % groups * group.width;
    group.each([&](const Walk& walk, float x) {
        const u32 channel = first + walk.channel;
        float z = (x - mean) * scale * widen(gain[channel]) + widen(bias[channel]);
        if (SILU) z = Silu::of(z);
        const u64 at = start + group.at(walk);
        finish<1>(y + at, &z, at, channel);
    });
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
        Group<T>(x, pixels, channels, groups).moments(eps, mean, rstd); \
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
