// Convolutions of float and their gradients; x, w, y and sizes: window.cuh. Parameters of every kernel:
//
//   (const float* a, const float* b, float* c, const float* bias, u32 samples, u32 height, u32 width, u32 channels,
//    u32 filters, u32 kernel_h, u32 kernel_w, u32 out_h, u32 out_w, u32 stride_h, u32 stride_w, u32 pad_top,
//    u32 pad_left, float* shares, u32* arrived, u64 share)
//
//   kernel                    a    b    c     rows of the product             its columns   its sums' terms
//   conv2d                    x    w    y     samples·out_h·out_w             filters       kernel_h·kernel_w·channels
//   conv2d_input_grad         dy   w    dx    samples·height·width            channels      kernel_h·kernel_w·filters
//   conv2d_weight_grad        x    dy   dw    kernel_h·kernel_w·channels      filters       samples·out_h·out_w
//
// bias: one for each column, or null. c is apart from the others. Any alignment will do. Strides ≥ 1; every number is
// below 2^29, and so are height and width with their paddings and the rows, columns and terms of the product; x, w and y
// have less than 2^32 elements each.
// Launch: grid (⌈rows/M⌉·⌈columns/N⌉, shares, 1) for the kernel named M×N, y ≤ 65535. conv2d_input_grad computes the
// pixels that the same taps reach together: z = min(stride_h, height)·min(stride_w, width), and of its rows the largest
// part counts, samples·⌈height/stride_h⌉·⌈width/stride_w⌉.
// Shares: as in gemm_f32.cuh.
#pragma once

#include "product_f32.cuh"
#include "window.cuh"

using Plain = Operand<float, Strided<u32>, Strided<u32>>;

template <class Shape>
void conv2d(const float* x, const float* w, float* y, const float* bias, const Shares& shares, const Window& window) {
    const u32 depth = window.taps(), filters = window.filters;
    const Operand<float, Positions, Taps> first = {
        x, window.height, window.width, true, window.positions(), window.window()};
    const Plain second = {w, 1, 1, false, {filters, 1}, {depth, filters}};
    const Output<float, Strided<u32>> out = {y, bias, filters, whole(y, filters), 0, {window.outputs(), filters}};
    product<Shape>(first, second, out, shares, depth);
}

template <class Shape>
void conv2d_input_grad(const float* dy, const float* w, float* dx, const float* bias, const Shares& shares,
                       const Window& window) {
    const Phase phase(window, blockIdx.z);
    const u32 channels = window.channels;
    const Operand<float, Positions, Taps> first = {
        dy, window.out_h, window.out_w, true, phase.positions(), phase.window()};
    const Operand<float, Strided<u32>, Filters> second = {w, 1, 1, true, {channels, window.filters}, phase.kernel()};
    const Output<float, Pixels> out = {dx, bias, channels, whole(dx, channels), 0, phase.pixels()};
    product<Shape>(first, second, out, shares, phase.taps());
}

template <class Shape>
void conv2d_weight_grad(const float* x, const float* dy, float* dw, const float* bias, const Shares& shares,
                        const Window& window) {
    const u32 depth = window.outputs(), filters = window.filters;
    const Operand<float, Taps, Positions> first = {
        x, window.height, window.width, false, window.window(), window.positions()};
    const Plain second = {dy, 1, 1, false, {filters, 1}, {depth, filters}};
    const Output<float, Strided<u32>> out = {dw, bias, filters, whole(dw, filters), 0, {window.taps(), filters}};
    product<Shape>(first, second, out, shares, depth);
}

#define CONV(name, kind, ...) \
    extern "C" __global__ void __launch_bounds__(__VA_ARGS__::THREADS, 2) \
        name(const float* a, const float* b, float* c, const float* bias, u32 samples, u32 height, u32 width, \
             u32 channels, u32 filters, u32 kernel_h, u32 kernel_w, u32 out_h, u32 out_w, u32 stride_h, u32 stride_w, \
             u32 pad_top, u32 pad_left, float* shares, u32* arrived, u64 share) { \
        const Window window = {samples, height, width,    channels, filters, kernel_h, kernel_w, \
                               out_h,   out_w,  stride_h, stride_w, pad_top, pad_left}; \
        kind<__VA_ARGS__>(a, b, c, bias, {shares, arrived, gridDim.y, blockIdx.y, share}, window); \
    }
