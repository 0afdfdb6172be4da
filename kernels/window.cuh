// Convolutions as products. A picture x: samples × height × width × channels; a kernel w: kernel_h × kernel_w × channels
// × filters; its output y: samples × out_h × out_w × filters, all contiguous:
//
//   y[n][p][q][o] = Σ_{i,j,c} x[n][p·stride_h + i - pad_top][q·stride_w + j - pad_left][c] · w[i][j][c][o]
//
// where x is 0 outside of the picture.
#pragma once

#include "place.cuh"

struct Window {
    u32 samples, height, width, channels, filters, kernel_h, kernel_w, out_h, out_w, stride_h, stride_w, pad_top,
        pad_left;

    u32 outputs() const { return samples * out_h * out_w; }
    u32 taps() const { return kernel_h * kernel_w * channels; }

    // The picture's pixels under tap t (and channel) at position p: x in a product's terms.
    Positions positions() const {
        return {outputs(), Division(out_w), Division(out_h), 0 - pad_top, 0 - pad_left, stride_h, stride_w,
                height,    width,           channels};
    }
    Taps window() const { return {taps(), Division(channels), Division(kernel_w), 1, width}; }
};

// The part of a gradient for x that the same taps reach: pixels with row ≡ row_first modulo stride_h and column ≡
// column_first modulo stride_w. Of each axis: from which tap on, how many of every stride-th tap, and the output's row
// that the first of them takes to the first of these pixels.
struct Phase {
    Window w;
    u32 row_first, column_first, rows, columns, tap_y, tap_x, taps_h, taps_w;

    Phase(const Window& window, u32 index) : w(window) {
        const u32 across = min(w.stride_w, w.width);
        row_first = index / across, column_first = index % across;
        rows = (w.height - row_first + w.stride_h - 1) / w.stride_h;
        columns = (w.width - column_first + w.stride_w - 1) / w.stride_w;
        tap_y = (row_first + w.pad_top) % w.stride_h, tap_x = (column_first + w.pad_left) % w.stride_w;
        taps_h = tap_y < w.kernel_h ? (w.kernel_h - tap_y + w.stride_h - 1) / w.stride_h : 0;
        taps_w = tap_x < w.kernel_w ? (w.kernel_w - tap_x + w.stride_w - 1) / w.stride_w : 0;
    }

    u32 taps() const { return taps_h * taps_w * w.filters; }
    u32 extent() const { return w.samples * rows * columns; }

    // The output's gradient under a window that goes up and left from tap to tap.
    Positions positions() const {
        return {extent(), Division(columns),
                Division(rows), (row_first + w.pad_top) / w.stride_h,
                (column_first + w.pad_left) / w.stride_w, 1,
                1, w.out_h,
                w.out_w, w.filters};
    }
    Taps window() const { return {taps(), Division(w.filters), Division(taps_w), ~0u, w.out_w}; }
    Filters kernel() const {
        return {taps(), Division(w.filters), Division(taps_w), tap_y * w.kernel_w + tap_x, w.stride_h * w.kernel_w,
                w.stride_w, w.channels * w.filters};
    }
    Pixels pixels() const {
        return {extent(), Division(columns), Division(rows), row_first, column_first, w.stride_h, w.stride_w, w.height,
                w.width, w.channels};
    }
};
