// Transposition of matrices: y[b][j][i] = x[b][i][j].
//
//   transpose_f32(const float* x, float* y, u32 rows, u32 columns)
//
// x: [batch, rows, columns], y: [batch, columns, rows], contiguous and apart; rows and columns below 2^31.
// Launch: grid (⌈rows/32⌉ · ⌈columns/32⌉, batch, 1), batch ≤ 65535. Block (32, 8, 1). No dynamic shared memory.
// Alignment: 4 bytes.
// Contract: a copy, bit for bit. Reads and writes are rows of 32 neighbours; a column of padding keeps the columns of
// the tile in shared memory apart from each other's banks.
#include "storage.cuh"

enum : u32 {
    SIDE = 32,
    ROWS = 8, // of a tile, that the block moves at a time
};

// budget: 32 registers
extern "C" __global__ void __launch_bounds__(SIDE * ROWS)
    transpose_f32(const float* x, float* y, u32 rows, u32 columns) {
    __shared__ float tile[SIDE][SIDE + 1];
    const u32 across = (columns + SIDE - 1) / SIDE;
    const u32 row = blockIdx.x / across * SIDE, column = blockIdx.x % across * SIDE;
    const u64 matrix = u64(blockIdx.y) * rows * columns;
    const u32 i = threadIdx.x;

#pragma unroll
    for (u32 j = threadIdx.y; j < SIDE; j += ROWS) {
        if (row + j < rows && column + i < columns) tile[j][i] = x[matrix + u64(row + j) * columns + column + i];
    }
    __syncthreads();
#pragma unroll
    for (u32 j = threadIdx.y; j < SIDE; j += ROWS) {
        if (column + j < columns && row + i < rows) y[matrix + u64(column + j) * rows + row + i] = tile[i][j];
    }
}
