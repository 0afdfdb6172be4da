// Convolutions of 16-bit elements and their gradients on tensor cores; x, w, y and sizes: window.cuh. Parameters of every
// kernel:
//
//   (const T* a, const T* b, void* c, const void* bias, u32 samples, u32 height, u32 width, u32 channels, u32 filters,
//    u32 kernel_h, u32 kernel_w, u32 out_h, u32 out_w, u32 stride_h, u32 stride_w, u32 pad_top, u32 pad_left,
//    float* shares, u32* arrived, u64 share, u32 wide)
//
// Operands, results, limits and shares as in conv_f32.cuh. c and bias: of float if wide ≠ 0, otherwise of T; any
// alignment will do.
// Alignment: a and b lie at multiples of 16 bytes; conv2d and conv2d_weight_grad: channels and filters are multiples of
// 8, conv2d_input_grad: filters are. Kernels whose name says `any` ask for none of this.
// Launch: as in conv_f32.cuh, with blocks of 256 threads and 98,304 bytes of dynamic shared memory for 256×128, 128
// threads and 49,152 bytes for 64×64.
// Contract: products are exact; an element with k terms is off by at most (5/4·k + 2)·2^-23·Σ|a·b| before it is rounded
// to c's type and the bias is added and the sum rounded again.
#pragma once

#include "product_16.cuh"
#include "window.cuh"

template <class T, class Shape, template <class, bool, u32, u32, u32> class Copy, bool ANY>
void conv2d(const T* x, const T* w, void* y, const void* bias, u32 wide, const Shares& shares,
            const Window& window) {
    const u32 depth = window.taps(), filters = window.filters;
    const Operand<T, Positions, Taps> first = {
        x, window.height, window.width, true, window.positions(), window.window()};
    const Operand<T, Strided<u32>, Strided<u32>> second = {w, 1, 1, false, {filters, 1}, {depth, filters}};
    const Strided<u32> rows = {window.outputs(), filters};
    const Result<T, Strided<u32>> result = {y, bias, wide, filters, 0, filters, rows, shares};
    product<Shape, true, ANY, Copy>(first, second, result);
}

template <class T, class Shape, template <class, bool, u32, u32, u32> class Copy, bool>
void conv2d_input_grad(const T* dy, const T* w, void* dx, const void* bias, u32 wide, const Shares& shares,
                       const Window& window) {
    const Phase phase(window, blockIdx.z);
    const u32 channels = window.channels;
    const Operand<T, Positions, Taps> first = {
        dy, window.out_h, window.out_w, true, phase.positions(), phase.window()};
    const Operand<T, Strided<u32>, Filters> second = {w, 1, 1, true, {channels, window.filters}, phase.kernel()};
    const Result<T, Pixels> result = {dx, bias, wide, channels, 0, channels, phase.pixels(), shares};
    product<Shape, true, true, Copy>(first, second, result);
}

template <class T, class Shape, template <class, bool, u32, u32, u32> class Copy, bool ANY>
void conv2d_weight_grad(const T* x, const T* dy, void* dw, const void* bias, u32 wide, const Shares& shares,
                        const Window& window) {
    const u32 depth = window.outputs(), filters = window.filters;
    const Operand<T, Taps, Positions> first = {
        x, window.height, window.width, false, window.window(), window.positions()};
    const Operand<T, Strided<u32>, Strided<u32>> second = {dy, 1, 1, false, {filters, 1}, {depth, filters}};
    const Strided<u32> rows = {window.taps(), filters};
    const Result<T, Strided<u32>> result = {dw, bias, wide, filters, 0, filters, rows, shares};
    product<Shape, ANY, ANY, Copy>(first, second, result);
}

#define CONV(name, kind, T, Shape, Copy, any) \
    extern "C" __global__ void __launch_bounds__(Shape::THREADS, Shape::RESIDENT) \
        name(const T* a, const T* b, void* c, const void* bias, u32 samples, u32 height, u32 width, u32 channels, \
             u32 filters, u32 kernel_h, u32 kernel_w, u32 out_h, u32 out_w, u32 stride_h, u32 stride_w, u32 pad_top, \
             u32 pad_left, float* shares, u32* arrived, u64 share, u32 wide) { \
        const Window window = {samples, height, width,    channels, filters, kernel_h, kernel_w, \
                               out_h,   out_w,  stride_h, stride_w, pad_top, pad_left}; \
        kind<T, Shape, Copy, any>(a, b, c, bias, wide, {shares, arrived, gridDim.y, blockIdx.y, share}, window); \
    }
