// What kernels of attention by groups of four warps share: the products of a step, from boxes that the hardware copies,
// and results that leave through rooms of shared memory.
//
// An operand's rows lie in boxes of 64 columns below each other, those of the next 64 columns after them. A group has 64
// rows of one side. Its part of the first product is, rounded, the left factor of the second, which stays in registers.
#pragma once

#include "attention_tiles.cuh"
#include "ring.cuh"

// Begins to copy so many rows, from `first` on, of all columns up to DEPTH; their bytes count for the barrier.
template <u32 DEPTH, u32 ROWS>
void copy_rows(u32 to, const TensorMap& tensor, u32 barrier, u32 first, u32 head, u32 batch) {
#pragma unroll 1
    for (u32 i = 0; i < (DEPTH + 63) / 64; i++) copy_box(to + i * ROWS * 128, tensor, barrier, i * 64, first, head, batch);
}

// Begins scores = left·rightᵀ: a group's rows, of LEFT that were copied, and RIGHT rows of the other side.
template <class T, u32 DEPTH, u32 LEFT, u32 RIGHT>
void begin_scores(float (&scores)[RIGHT / 2], u32 left, u32 right) {
#pragma unroll
    for (u32 terms = 0; terms < DEPTH / 16; terms++) {
        const u32 chunk = terms / 4, within = terms % 4 * 32;
        const u64 a = descriptor(left + chunk * LEFT * 128 + within);
        const u64 b = descriptor(right + chunk * RIGHT * 128 + within);
        if (terms == 0) Products<T, RIGHT>::template add<true, true, false>(scores, a, b);
        else Products<T, RIGHT>::template add<true, true>(scores, a, b);
    }
    products_commit();
}

// Begins sums += weights · rows of the other side.
template <class T, u32 DEPTH, u32 ROWS>
void begin_sums(float (&sums)[DEPTH / 2], const u32 (&weights)[ROWS / 16][4], u32 rows) {
#pragma unroll
    for (u32 terms = 0; terms < ROWS / 16; terms++) {
        const u64 b = descriptor(rows + terms * 16 * 128, ROWS * 128);
        Products<T, DEPTH>::template add_registers<false>(sums, weights[terms], b);
    }
    products_commit();
}

template <class T, u32 ROWS> void pack(u32 (&weights)[ROWS / 16][4], const float (&scores)[ROWS / 2]) {
#pragma unroll
    for (u32 i = 0; i < ROWS / 4; i++) weights[i / 4][i % 4] = pair<T>(scores[2 * i], scores[2 * i + 1]);
}

// As many of four neighbours as there are.
template <class T> void store_neighbours(T* to, const float (&values)[4], u32 count) {
    if (count >= 4 && reinterpret_cast<u64>(to) % 8 == 0) {
        // The compiler would store some of them one by one.
        asm volatile("st.global.v2.u32 [%0], {%1, %2};" ::"l"(__cvta_generic_to_global(to)),
                     "r"(pair<T>(values[0], values[1])), "r"(pair<T>(values[2], values[3]))
                     : "memory");
    } else {
#pragma unroll
        for (u32 i = 0; i < 4; i++) {
            if (i < count) to[i] = narrow<T>(values[i]);
        }
    }
}

// Stores a warp's sums as rows first .. of y, as far as there are such rows and columns.
template <u32 COUNT, class T>
void store_sums(const float (&sums)[COUNT], u32 room, T* y, u64 pitch, u32 first, u32 rows, u32 columns) {
    const u32 lane = threadIdx.x % 32;
#pragma unroll
    for (u32 piece = 0; piece < (COUNT + 31) / 32; piece++) {
        __syncwarp();
        fill_room(room, sums, piece * 32);
        __syncwarp();
        const u32 within = lane % 16 * 4, column = piece * 64 + within;
        if (column >= columns) continue;
#pragma unroll 1
        for (u32 row = lane / 16; row < 16 && first + row < rows; row += 2) {
            float values[4];
            load_shared(values, room + room_offset(row, within));
            store_neighbours(y + (first + row) * pitch + column, values, columns - column);
        }
    }
}
