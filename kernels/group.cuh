// Groups of a picture's channels that blocks hold in registers; names and formulas: group_norm_silu.cu.
#pragma once

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

// A block's pixels of a group.
template <class T> class Group {
    enum : u32 { HELD = 20 };
    u32 pixels, channels;
    const T* x; // the first element
    bool holds;
    float held[HELD]; // the thread's elements, if they are so few

  public:
    const u32 width;

    Group(const T* x, u32 pixels, u32 channels, u32 width)
        : pixels(pixels), channels(channels), x(x), width(width) {
        holds = pixels * width <= HELD * blockDim.x;
        if (!holds) return;
        Walk walk(width);
#pragma unroll
        for (u32 i = 0; i < HELD; i++) {
            if (walk.pixel < pixels) held[i] = widen(x[at(walk)]);
            walk.next();
        }
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

    // μ and 1/√(σ² + eps), for every thread, of a group of `count` elements that `sum` adds over all its threads.
    template <class Add> void moments(float count, float eps, float& mean, float& rstd, const Add& sum) const {
        float terms = 0, squares = 0;
        each([&](const Walk&, float x) { terms += x; });
        mean = sum(terms) / count;
        each([&](const Walk&, float x) {
            const float distance = x - mean;
            squares += distance * distance;
        });
        rstd = 1.0f / sqrtf(sum(squares) / count + eps);
    }

    // Stores the result; `start` is the place of the first element, `first` its channel.
    template <bool SILU, class Y>
    void finish(float mean, float scale, const T* gain, const T* bias, Y* y, u64 start, u32 first) const {
        each([&](const Walk& walk, float x) {
            const u32 channel = first + walk.channel;
            float z = (x - mean) * scale * widen(gain[channel]) + widen(bias[channel]);
            if (SILU) z = Silu::of(z);
            const u64 place = start + at(walk);
            ::finish<1>(y + place, &z, place, channel);
        });
    }
};
