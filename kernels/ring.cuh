// What kernels of warp groups share: the ring of stages between the thread that copies and the groups that multiply, and
// rooms of shared memory in which a warp's sums become rows.
#pragma once

#include "hopper.cuh"

// A place in the ring of stages, and the parity of its phase.
template <u32 STAGES> struct Turn {
    u32 stage = 0, parity = 0;

    void advance(u32 steps) {
        const u32 sum = stage + steps;
        stage = sum % STAGES;
        parity ^= sum / STAGES & 1;
    }
};

// The sums of a warp, 16 rows of 64: chunks of 4 (16 bytes) change places within 128 bytes.
u32 room_offset(u32 row, u32 column) { return (row * 16 + (column / 4 ^ (row & 3) * 2)) * 16 + column % 4 * 4; }

// Puts a warp's sums of 64 columns, from `first` on, into its room.
template <u32 COUNT> void fill_room(u32 room, const float (&sums)[COUNT], u32 first) {
    const u32 lane = threadIdx.x % 32;
#pragma unroll
    for (u32 j = 0; j < 16 && first + j * 2 < COUNT; j++) {
        const u32 row = j % 2 * 8 + lane / 4, column = j / 2 * 8 + lane % 4 * 2;
        store_shared(room + room_offset(row, column), sums[first + j * 2], sums[first + j * 2 + 1]);
    }
}
