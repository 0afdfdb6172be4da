// Where the elements of a product's operands lie: matrices, and pictures under a moving window.
//
// The place of an element is the sum of two: one of its row, one of its column. A sum whose y and x lie within the
// operand's height and width is an element, any other stands for a zero. So a convolution is a product whose rows are
// the window's positions and whose columns are its taps, and its zeros around the picture need no memory.
#pragma once

#include "storage.cuh"

// A part of a place: elements from the operand's start, modulo the range of Offset (u32 where that is wide enough, to
// save registers), and the coordinates that are checked.
template <class Offset> struct Place {
    Offset offset;
    u32 y, x;
};

// With this y no sum lies within: heights and widths are below it, and no coordinate is below its negative.
enum : u32 { OUTSIDE = 1u << 29 };

// Division by a number that does not change: ⌊n/divisor⌋ for n < 2^31 (Granlund & Montgomery 1994).
struct Division {
    u32 divisor, multiplier, shift;

    // By 1 for 0: an empty axis has no places.
    explicit Division(u32 d) : divisor(max(d, 1)), shift(d > 1 ? 32 - __clz(d - 1) : 0) {
        multiplier = u32((u64(1) << (31 + shift)) / divisor + 1);
    }
    u32 quotient(u32 n) const { return __umulhi(n << 1, multiplier) >> shift; }
};

// Rows or columns of a matrix.
template <class Offset> struct Strided {
    using Part = Place<Offset>;
    u32 extent;
    Offset stride;

    Place<Offset> at(u32 index) const { return {index * stride, index < extent ? 0 : OUTSIDE, 0}; }
};

// The window's positions, all samples' one after the other: at position (y, x) its corner lies on the pixel
// (first_y + y·step_y, first_x + x·step_x) of a picture of height × width × channels.
struct Positions {
    using Part = Place<u32>;
    u32 extent;
    Division columns, rows;
    u32 first_y, first_x, step_y, step_x, height, width, channels;

    Place<u32> at(u32 index) const {
        const u32 line = columns.quotient(index), sample = rows.quotient(line);
        const u32 y = first_y + (line - sample * rows.divisor) * step_y;
        const u32 x = first_x + (index - line * columns.divisor) * step_x;
        return {((sample * height + y) * width + x) * channels, index < extent ? y : OUTSIDE, x};
    }
};

// The window's taps, each with all channels of a pixel: tap (i, j) is i·step pixels below and j·step right of the
// corner.
struct Taps {
    using Part = Place<u32>;
    u32 extent;
    Division channels, columns;
    u32 step, width;

    Place<u32> at(u32 index) const {
        const u32 tap = channels.quotient(index), i = columns.quotient(tap);
        const u32 y = i * step, x = (tap - i * columns.divisor) * step;
        const u32 channel = index - tap * channels.divisor;
        return {(y * width + x) * channels.divisor + channel, index < extent ? y : OUTSIDE, x};
    }
};

// Every row_step-th row and column_step-th column of a kernel's taps, each with all its filters, from tap `first` on.
// Matrices of inputs × filters stand one after the other, `matrix` elements each.
struct Filters {
    using Part = Place<u32>;
    u32 extent;
    Division filters, columns;
    u32 first, row_step, column_step, matrix;

    Place<u32> at(u32 index) const {
        const u32 tap = filters.quotient(index), i = columns.quotient(tap), j = tap - i * columns.divisor;
        const u32 stored = first + i * row_step + j * column_step;
        return {stored * matrix + (index - tap * filters.divisor), index < extent ? 0 : OUTSIDE, 0};
    }
};

// A picture's pixels with row and column ≡ first modulo step, all samples' one after the other.
struct Pixels {
    using Part = Place<u32>;
    u32 extent;
    Division columns, rows;
    u32 first_y, first_x, step_y, step_x, height, width, channels;

    Place<u32> at(u32 index) const {
        const u32 line = columns.quotient(index), sample = rows.quotient(line);
        const u32 y = first_y + (line - sample * rows.divisor) * step_y;
        const u32 x = first_x + (index - line * columns.divisor) * step_x;
        return {((sample * height + y) * width + x) * channels, index < extent ? 0 : OUTSIDE, 0};
    }
};

// A factor: Outer are the rows of the first, the columns of the second; Depth is the axis of the sums.
// `deep` says that neighbours along Depth are neighbours in memory; otherwise those along Outer are.
template <class T, class Outer, class Depth> struct Operand {
    using Part = typename Outer::Part;
    const T* from;
    u32 height, width;
    bool deep;
    Outer outer;
    Depth depth;

    // The address of an element; `count` is set to 0 where there is none.
    template <class Offset> const T* element(const Place<Offset>& a, const Place<Offset>& b, u32& count) const {
        const bool within = a.y + b.y < height && a.x + b.x < width;
        count = within ? 1 : 0;
        return within ? from + (a.offset + b.offset) : from;
    }
};
