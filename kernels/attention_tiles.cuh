// What kernels of attention on tensor cores share: rows in shared memory, and the two products of a step.
//
// A block goes along the rows of one side, ROWS at a time, and each of its warps has TILES·16 rows of the other. A
// thread's part of the first product, two columns of rows g and g + 8 (as mma.cuh names them), is already, rounded, a
// fragment of the second product's left factor.
#pragma once

#include "attention.cuh"
#include "mma.cuh"

enum : u32 { THREADS = 128 };

constexpr float LOG2_E = 1.44269504f;

// 2^x, within 2^-22; 0 below 2^-126.
float exp2_fast(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// e^(x - shift), within 2^-21 and an error of `shift` of 2^-24.
float exp_fast(float x, float shift) { return exp2_fast(fmaf(x, LOG2_E, -shift * LOG2_E)); }

template <class T> u32 pair(float a, float b) {
    const Pack<T, 2> both = {narrow<T>(a), narrow<T>(b)};
    return *reinterpret_cast<const u32*>(&both);
}

// A matrix in global memory, whose rows take LINE elements in shared memory.
template <class T, u32 LINE> struct Matrix {
    const T* from;
    u64 pitch;
    u32 rows, columns;
    bool packed;

    Matrix(const T* from, u64 pitch, u32 rows, u32 columns)
        : from(from), pitch(pitch), rows(rows), columns(columns),
          packed(aligned16(from) && pitch % 8 == 0 && columns % 8 == 0) {}

    // Copies `lines` rows from `first` on to shared memory, their columns up to a multiple of 16; what lies beyond the
    // matrix becomes 0.
    void copy(T* to, u32 first, u32 lines) const {
        const u32 width = (columns + 15) / 16 * 16;
        if (packed) {
            for (u32 line = threadIdx.x / 8; line < lines; line += THREADS / 8) {
                const T* row = from + (first + line) * pitch;
                const bool there = first + line < rows;
#pragma unroll 1
                for (u32 column = threadIdx.x % 8 * 8; column < width; column += 64) {
                    const bool copied = there && column < columns;
                    copy_async(shared_address(to + line * LINE + column), copied ? row + column : from,
                               copied ? 16 : 0);
                }
            }
        } else {
#pragma unroll 1
            for (u32 line = threadIdx.x / 16; line < lines; line += THREADS / 16) {
#pragma unroll 1
                for (u32 column = threadIdx.x % 16; column < width; column += 16) {
                    const bool there = first + line < rows && column < columns;
                    to[line * LINE + column] = there ? from[(first + line) * pitch + column] : narrow<T>(0);
                }
            }
        }
        copy_commit();
    }
};

// Where a lane finds its rows of the 8×8 matrices: of a left factor that begins at this row, of a right factor whose rows
// are columns of the product, and of one whose rows are terms.
template <u32 LINE, class T> u32 left_rows(const T* rows) {
    const u32 lane = threadIdx.x % 32;
    return shared_address(rows + lane % 16 * LINE + lane / 16 * 8);
}

template <u32 LINE, class T> u32 right_columns(const T* rows) {
    const u32 lane = threadIdx.x % 32;
    return shared_address(rows + (lane / 16 * 8 + lane % 8) * LINE + lane / 8 % 2 * 8);
}

template <u32 LINE, class T> u32 right_terms(const T* rows) {
    const u32 lane = threadIdx.x % 32;
    return shared_address(rows + lane % 16 * LINE + lane / 16 * 8);
}

// sums += the products of the warp's rows and of all rows of the other side, `depth` terms each.
template <class T, u32 LINE, u32 TILES, u32 GROUPS>
void multiply_rows(float (&sums)[TILES][GROUPS][4], u32 left, u32 right, u32 depth) {
#pragma unroll 1
    for (u32 d = 0; d < depth; d += 16) {
        u32 a[TILES][4];
#pragma unroll
        for (u32 i = 0; i < TILES; i++) load_matrices(a[i], left + 2 * (i * 16 * LINE + d));
#pragma unroll
        for (u32 j = 0; j < GROUPS; j += 2) {
            u32 r[4];
            load_matrices(r, right + 2 * (j * 8 * LINE + d));
#pragma unroll
            for (u32 i = 0; i < TILES; i++) {
                multiply_add<T>(sums[i][j], a[i], {r[0], r[1]});
                multiply_add<T>(sums[i][j + 1], a[i], {r[2], r[3]});
            }
        }
    }
}

// sums += weights · rows of the other side, of which `width` columns count.
template <class T, u32 LINE, u32 TILES, u32 GROUPS, u32 COLUMNS>
void multiply_weights(float (&sums)[TILES][COLUMNS][4], const u32 (&weights)[TILES][GROUPS][2], u32 right, u32 width) {
#pragma unroll
    for (u32 j = 0; j < COLUMNS; j += 2) {
        if (j * 8 >= width) break;
#pragma unroll
        for (u32 row = 0; row < 8 * GROUPS; row += 16) {
            u32 r[4];
            load_matrices_transposed(r, right + 2 * (row * LINE + j * 8));
#pragma unroll
            for (u32 i = 0; i < TILES; i++) {
                const u32(&low)[2] = weights[i][row / 8], (&high)[2] = weights[i][row / 8 + 1];
                multiply_add<T>(sums[i][j], {low[0], low[1], high[0], high[1]}, {r[0], r[1]});
                multiply_add<T>(sums[i][j + 1], {low[0], low[1], high[0], high[1]}, {r[2], r[3]});
            }
        }
    }
}

// Puts sums · factor(tile, half) into the warp's rows in shared memory, which nobody else reads any more, and from there,
// in whole lines, to rows first .. of y.
template <class T, u32 LINE, u32 TILES, u32 COLUMNS, class F>
void store_rows(const float (&sums)[TILES][COLUMNS][4], T* rows, T* y, u64 pitch, u32 first, u32 end, u32 width,
                const F& factor) {
    const u32 lane = threadIdx.x % 32;
#pragma unroll
    for (u32 i = 0; i < TILES; i++) {
#pragma unroll
        for (u32 half = 0; half < 2; half++) {
            const float by = factor(i, half);
            T* line = rows + (i * 16 + half * 8 + lane / 4) * LINE + lane % 4 * 2;
#pragma unroll
            for (u32 j = 0; j < COLUMNS; j++) {
                *reinterpret_cast<u32*>(line + j * 8) = pair<T>(sums[i][j][2 * half] * by, sums[i][j][2 * half + 1] * by);
            }
        }
    }
    __syncwarp();
    const u32 last = min(first + 16 * TILES, end);
    if (Matrix<T, LINE>(y, pitch, end, width).packed) {
#pragma unroll 1
        for (u32 row = first + lane / 8; row < last; row += 4) {
            for (u32 column = lane % 8 * 8; column < width; column += 64) {
                const Pack<T> pack = *reinterpret_cast<Pack<T>*>(rows + (row - first) * LINE + column);
                *reinterpret_cast<Pack<T>*>(y + row * pitch + column) = pack;
            }
        }
    } else {
#pragma unroll 1
        for (u32 row = first; row < last; row++) {
#pragma unroll 1
            for (u32 column = lane; column < width; column += 32) {
                y[row * pitch + column] = rows[(row - first) * LINE + column];
            }
        }
    }
}
