// Convolutions of 16-bit elements and their gradients on Hopper's tensor cores; x, w, y and sizes: window.cuh.
//
// Pixels are taken in boxes of powers of two: box_n samples × 2^box_h rows × 2^box_w columns, BLOCK_M of them in a part
// of y (or of x's gradient), 64 in a step of w's gradient. What lies around a picture, zeros, is what the hardware copies
// from outside of a tensor. Parameters of conv2d and of conv2d_input_grad:
//
//   (TensorMap a, TensorMap b, void* c, const void* bias, u32 samples, u32 height, u32 width, u32 columns, u32 box_h,
//    u32 box_w, u32 kernel_h, u32 kernel_w, u32 terms, u32 first_y, u32 first_x, u32 shift_h, u32 shift_w, u32 shares,
//    float* sums, u32* arrived, u64 share, u32 wide)
//
// conv2d: c: samples × height × width × columns. a: the picture x, `terms` channels, in boxes of 64 channels and BLOCK_M
// pixels. Its axes are channels of 2^shift_w neighbouring pixels, columns / 2^shift_w, 2^shift_h rows, rows / 2^shift_h,
// samples; the window moves by 2^shift_h rows and 2^shift_w columns. first_y, first_x: what is added to the coordinates of
// the first tap, modulo 2^32. b: w in boxes of 64 filters × 64 channels × one tap.
//
// conv2d_input_grad: c: samples × height·2^shift_h × width·2^shift_w × columns, in 2^(shift_h + shift_w) parts: pixels whose
// rows and columns leave the same remainders, which the same kernel_h × kernel_w taps reach, every 2^shift_h-th row and
// 2^shift_w-th column of all taps. a: y's gradient, `terms` filters, in boxes as above, with a third axis of one. first_y,
// first_x: the zeros above and left of the picture. b: w in boxes of 64 filters × BLOCK_N channels × one tap.
// Parameters of conv2d_weight_grad:
//
//   (TensorMap a, TensorMap b, void* c, const void* bias, u32 samples, u32 height, u32 width, u32 columns, u32 box_h,
//    u32 box_w, u32 kernel_h, u32 kernel_w, u32 channels, u32 first_y, u32 first_x, u32 shift_h, u32 shift_w, u32 shares,
//    float* sums, u32* arrived, u64 share, u32 wide)
//
// c: w's gradient, kernel_h × kernel_w × channels × columns. a: x as above in boxes of 64 channels and 64 pixels. b: y's
// gradient, samples × height × width × columns, in boxes of 64 columns and 64 pixels, with a third axis of one; height
// and width are multiples of the boxes'.
// c and bias: of float if wide ≠ 0, otherwise of T; any alignment will do. Shares, launch: as in gemm_wgmma.cuh.
// Contract: as in conv_16.cuh.
#pragma once

#include "product_wgmma.cuh"

struct Pixel {
    u32 n, y, x;
};

// Boxes of pixels.
struct Boxed {
    u32 samples, height, width, box_h, box_w;
    Division down, across;

    Boxed(u32 samples, u32 height, u32 width, u32 box_h, u32 box_w)
        : samples(samples), height(height), width(width), box_h(box_h), box_w(box_w),
          down((height + (1 << box_h) - 1) >> box_h), across((width + (1 << box_w) - 1) >> box_w) {}

    // The boxes of so many pixels.
    u32 count(u32 pixels) const {
        const u32 box_n = pixels >> (box_h + box_w);
        return (samples + box_n - 1) / box_n * down.divisor * across.divisor;
    }
    // The first pixel of a box.
    Pixel corner(u32 box, u32 pixels) const {
        const u32 line = across.quotient(box), sample = down.quotient(line);
        return {sample * (pixels >> (box_h + box_w)), (line - sample * down.divisor) << box_h,
                (box - line * across.divisor) << box_w};
    }
};

// The places of pixels, PIXELS of a box after those of another; every 2^shift_h-th row from `row` on and 2^shift_w-th
// column from `column` on are counted.
template <u32 PIXELS> struct BoxedPixels {
    using Part = Place<u32>;
    Boxed boxed;
    u32 channels, shift_h, shift_w, row, column;

    Place<u32> at(u32 index) const {
        auto [n, y, x] = boxed.corner(index / PIXELS, PIXELS);
        const u32 within = index % PIXELS, line = within >> boxed.box_w;
        n += line >> boxed.box_h, y += line & (1 << boxed.box_h) - 1, x += within & (1 << boxed.box_w) - 1;
        const bool inside = n < boxed.samples && y < boxed.height && x < boxed.width;
        const u32 above = (n * boxed.height + y << shift_h) + row;
        return {(above * (boxed.width << shift_w) + (x << shift_w) + column) * channels, inside ? 0 : OUTSIDE, 0};
    }
};

// Places of rows that are channels of a tap, BLOCK rows of one after those of another.
template <u32 BLOCK> struct TapRows {
    using Part = Place<u32>;
    u32 channels, columns;

    u32 of_tap() const { return (channels + BLOCK - 1) / BLOCK; }
    Place<u32> at(u32 index) const {
        const u32 part = index / BLOCK, tap = part / of_tap();
        const u32 channel = (part - tap * of_tap()) * BLOCK + index % BLOCK;
        return {(tap * channels + channel) * columns, channel < channels ? 0 : OUTSIDE, 0};
    }
};

// A window over a picture whose rows and columns lie by their remainders.
struct Moving {
    u32 kernel_w, channels, first_y, first_x, shift_h, shift_w;

    // Copies the box of pixels under a tap, from a channel on.
    void copy(u32 to, const TensorMap& from, u32 barrier, u32 tap, u32 channel, const Pixel& at) const {
        const u32 i = tap / kernel_w, j = tap - i * kernel_w, down = first_y + i, right = first_x + j;
        copy_box(to, from, barrier, channel + (right & (1 << shift_w) - 1) * channels, at.x + u32(int(right) >> shift_w),
                 down & (1 << shift_h) - 1, at.y + u32(int(down) >> shift_h), at.n);
    }

    // Of the picture's pixels of a part.
    u32 row(u32 part) const { return part >> shift_w; }
    u32 column(u32 part) const { return part & (1 << shift_w) - 1; }

    // Copies the box of the output's pixels that reach a part by one of its taps, from a filter on. The picture's rows go down
    // where the taps' go up.
    void copy_back(u32 to, const TensorMap& from, u32 barrier, u32 part, u32 tap, u32 filter, const Pixel& at) const {
        const u32 i = tap / kernel_w, j = tap - i * kernel_w;
        const u32 down = (row(part) + first_y >> shift_h) - i, right = (column(part) + first_x >> shift_w) - j;
        copy_box(to, from, barrier, filter, at.x + right, 0, at.y + down, at.n);
    }
    // The place of a part's tap among all.
    u32 stored(u32 part, u32 tap) const {
        const u32 i = tap / kernel_w, j = tap - i * kernel_w;
        const u32 y = (row(part) + first_y & (1 << shift_h) - 1) + (i << shift_h);
        const u32 x = (column(part) + first_x & (1 << shift_w) - 1) + (j << shift_w);
        return y * (kernel_w << shift_w) + x;
    }
};

template <class Shape, bool BACK> struct Convolution {
    const TensorMap &a, &b;
    void* c;
    const void* bias;
    u32 wide, columns;
    Division chunks; // of 64 terms of a tap
    Shares shares;
    Moving window;
    Boxed boxed;
    Parts<Shape> parts;

    Pixel origin(const Work& work) const { return boxed.corner(work.row / Shape::BLOCK_M, Shape::BLOCK_M); }

    void fetch(u32 to, u32 barrier, const Work& work, const Pixel& origin, u32 step) const {
        const u32 tap = chunks.quotient(step), term = (step - tap * chunks.divisor) * 64;
        const u32 to_b = to + Shape::BYTES_A;
        if constexpr (BACK) {
            window.copy_back(to, a, barrier, work.batch, tap, term, origin);
            copy_box(to_b, b, barrier, term, work.column, window.stored(work.batch, tap));
        } else {
            window.copy(to, a, barrier, tap, term, origin);
#pragma unroll
            for (u32 i = 0; i < Shape::ACROSS; i++) {
                copy_box(to_b + i * Boxes::BYTES, b, barrier, work.column + i * 64, term, tap);
            }
        }
    }

    template <class C> Output<C, BoxedPixels<Shape::BLOCK_M>> result(const Work& work) const {
        C* const to = static_cast<C*>(c);
        const u32 end = min(columns, work.column + Shape::BLOCK_N);
        BoxedPixels<Shape::BLOCK_M> rows = {boxed, columns, 0, 0, 0, 0};
        if constexpr (BACK) {
            rows = {boxed, columns, window.shift_h, window.shift_w, window.row(work.batch), window.column(work.batch)};
        }
        return {to, static_cast<const C*>(bias), end, whole(to, columns), 0, rows};
    }
};

template <class Shape> struct WeightGradient {
    enum : u32 { PIXELS = Shape::BLOCK_K };
    const TensorMap &a, &b;
    void* c;
    const void* bias;
    u32 wide, columns;
    Shares shares;
    Moving window;
    Boxed boxed;
    TapRows<Shape::BLOCK_M> rows;
    Parts<Shape> parts;

    struct Rows {
        u32 tap, channel;
    };

    Rows origin(const Work& work) const {
        const u32 part = work.row / Shape::BLOCK_M, tap = part / rows.of_tap();
        return {tap, (part - tap * rows.of_tap()) * Shape::BLOCK_M};
    }

    void fetch(u32 to, u32 barrier, const Work& work, const Rows& origin, u32 step) const {
        const Pixel at = boxed.corner(step, PIXELS);
#pragma unroll
        for (u32 i = 0; i < Shape::BLOCK_M / 64; i++) {
            window.copy(to + i * Boxes::BYTES, a, barrier, origin.tap, origin.channel + i * 64, at);
        }
#pragma unroll
        for (u32 i = 0; i < Shape::ACROSS; i++) {
            copy_box(to + Shape::BYTES_A + i * Boxes::BYTES, b, barrier, work.column + i * 64, at.x, 0, at.y, at.n);
        }
    }

    template <class C> Output<C, TapRows<Shape::BLOCK_M>> result(const Work& work) const {
        C* const to = static_cast<C*>(c);
        const u32 end = min(columns, work.column + Shape::BLOCK_N);
        return {to, static_cast<const C*>(bias), end, whole(to, columns), 0, rows};
    }
};

template <class T, class Shape, bool BACK>
void convolution(const TensorMap& a, const TensorMap& b, void* c, const void* bias, const Boxed& boxed, u32 columns,
                 u32 taps, const Moving& window, const Shares& shares, u32 wide) {
    const u32 chunks = (window.channels + 63) / 64, rows = boxed.count(Shape::BLOCK_M) * Shape::BLOCK_M;
    const u32 batch = BACK ? 1 << (window.shift_h + window.shift_w) : 1;
    const Parts<Shape> parts = {rows, columns, taps * chunks, batch, shares.number};
    const Convolution<Shape, BACK> product = {a,      b,      c,     bias, wide, columns, Division(chunks),
                                              shares, window, boxed, parts};
    group_product<Shape, true, BACK, T>(product);
}

template <class T, class Shape>
void conv2d(const TensorMap& a, const TensorMap& b, void* c, const void* bias, const Boxed& boxed, u32 columns,
            u32 taps, const Moving& window, const Shares& shares, u32 wide) {
    convolution<T, Shape, false>(a, b, c, bias, boxed, columns, taps, window, shares, wide);
}

template <class T, class Shape>
void conv2d_input_grad(const TensorMap& a, const TensorMap& b, void* c, const void* bias, const Boxed& boxed,
                       u32 columns, u32 taps, const Moving& window, const Shares& shares, u32 wide) {
    convolution<T, Shape, true>(a, b, c, bias, boxed, columns, taps, window, shares, wide);
}

template <class T, class Shape>
void conv2d_weight_grad(const TensorMap& a, const TensorMap& b, void* c, const void* bias, const Boxed& boxed,
                        u32 columns, u32 taps, const Moving& window, const Shares& shares, u32 wide) {
    const TapRows<Shape::BLOCK_M> rows = {window.channels, columns};
    const u32 steps = boxed.count(Shape::BLOCK_K);
    const Parts<Shape> parts = {taps * rows.of_tap() * Shape::BLOCK_M, columns, steps, 1, shares.number};
    const WeightGradient<Shape> product = {a, b, c, bias, wide, columns, shares, window, boxed, rows, parts};
    group_product<Shape, false, false, T>(product);
}

#define CONV(name, kind, T, Shape) \
    extern "C" __global__ void __launch_bounds__(Shape::THREADS, 1) \
        name(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b, void* c, const void* bias, \
             u32 samples, u32 height, u32 width, u32 columns, u32 box_h, u32 box_w, u32 kernel_h, u32 kernel_w, \
             u32 channels, u32 first_y, u32 first_x, u32 shift_h, u32 shift_w, u32 shares, float* sums, \
             u32* arrived, u64 share, u32 wide) { \
        const Boxed boxed(samples, height, width, box_h, box_w); \
        const Moving window = {kernel_w, channels, first_y, first_x, shift_h, shift_w}; \
        const Shares several = {sums, arrived, shares, 0, share}; \
        kind<T, Shape>(a, b, c, bias, boxed, columns, kernel_h * kernel_w, window, several, wide); \
    }
