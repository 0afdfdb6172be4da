// Rows of a table by their numbers: read, and summed.
//
//   gather_16, gather_32(const U* table, const int* indices, U* y, u32 rows, u64 width, u64 count)
//     y[i] = table[indices[i]], zeros where 0 ≤ indices[i] < rows is not so
//   scatter_add_T(const int* indices, const T* values, T* y, u32 rows, u32 width, u32 count)
//     y[r] = Σ values[i] over the i with indices[i] = r, in the order of i, from 0
//   scatter_add_part_T(const int* indices, const T* values, float* part, u32 rows, u32 width, u32 count, u32 segment)
//     part[s][r] = the same over the i from s·segment to (s + 1)·segment
//   scatter_add_sum_T(const float* part, T* y, u64 n, u32 segments)
//     y[j] = Σ_s part[s][j], in the order of s, from 0
//
// U: elements of 16 or 32 bits. T: f32, f16, bf16. table: [rows, width]; indices: [count]; y of gather and values:
// [count, width]; y of scatter_add: [rows, width]; part: [segments, rows, width], segments = ⌈count/segment⌉;
// n = rows·width. All contiguous, rows below 2^31; width and count of scatter_add below 2^31. The results lie apart.
// Launch: gather, scatter_add_sum: any grid (x), up to 256 threads (x); threads stride. scatter_add: grid
// (⌈rows/(8·w)⌉, ⌈width/128⌉, 1), scatter_add_part the same with z = segments; y and z ≤ 65535; block (32·w, 1, 1),
// w ≤ 8. No dynamic shared memory.
// Alignment: that of the elements. gather: if table and y are multiples of 16 bytes and a row's size, too, 16 bytes are
// moved at once; scatter_add: four elements, if values and y, or part, are multiples of four and width, too.
// Contract: gather copies bits. scatter_add rounds each sum to float and the last to T: within count·2^-24·Σ|terms|
// before the last rounding. The bits depend on `segment` alone.
#include "reduce.cuh"

template <class U> void gather(const U* table, const int* indices, U* y, u32 rows, u64 width, u64 count) {
    for (u64 at = u64(blockIdx.x) * blockDim.x + threadIdx.x; at < width * count; at += u64(gridDim.x) * blockDim.x) {
        const u64 i = at / width;
        const u32 row = u32(indices[i]);
        y[at] = row < rows ? table[row * width + (at - i * width)] : U{};
    }
}

#define GATHER(name, U) \
    extern "C" __global__ void __launch_bounds__(256) \
        name(const U* table, const int* indices, U* y, u32 rows, u64 width, u64 count) { \
        constexpr u64 LANES = 16 / sizeof(U); \
        if (aligned16(table, y) && width % LANES == 0) \
            gather(reinterpret_cast<const uint4*>(table), indices, reinterpret_cast<uint4*>(y), rows, width / LANES, \
                   count); \
        else gather(table, indices, y, rows, width, count); \
    }

// budget: 40 registers
GATHER(gather_16, unsigned short)
GATHER(gather_32, u32)

enum : u32 {
    ROWS = 8,    // of the table, that a warp sums
    COLUMNS = 4, // of a lane
};

// A warp scans the indices for its rows; a lane adds to its columns of all of them what belongs to one and zero to the
// others, which leaves a sum as it is: none is -0.
template <class T, class Y>
void scatter_add(const int* indices, const T* values, Y* y, u32 rows, u32 width, u32 first, u32 last) {
    const u32 lane = threadIdx.x % WARP;
    const u32 row = (blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP) * ROWS;
    const u32 column = (blockIdx.y * WARP + lane) * COLUMNS;
    if (row >= rows) return;
    const u64 offsets = reinterpret_cast<u64>(values) % sizeof(Pack<T, COLUMNS>) + width % COLUMNS;
    const bool packed = offsets == 0 && column < width;
    float sums[ROWS][COLUMNS] = {};
    for (u32 start = first; start < last; start += WARP) {
        const u32 mine = start + lane < last ? u32(indices[start + lane]) - row : ROWS;
        for (u32 found = __ballot_sync(~0u, mine < ROWS); found != 0; found &= found - 1) {
            const u32 source = __ffs(found) - 1, target = __shfl_sync(~0u, mine, source);
            const T* from = values + u64(start + source) * width + column;
            Pack<T, COLUMNS> pack = {};
            if (packed) pack = *reinterpret_cast<const Pack<T, COLUMNS>*>(from);
            else {
#pragma unroll
                for (u32 k = 0; k < COLUMNS; k++) {
                    if (column + k < width) pack.lane[k] = from[k];
                }
            }
#pragma unroll
            for (u32 r = 0; r < ROWS; r++) {
#pragma unroll
                for (u32 k = 0; k < COLUMNS; k++) sums[r][k] += r == target ? widen(pack.lane[k]) : 0;
            }
        }
    }
#pragma unroll
    for (u32 r = 0; r < ROWS; r++) {
        Y* to = y + u64(row + r) * width + column;
#pragma unroll
        for (u32 k = 0; k < COLUMNS; k++) {
            if (row + r < rows && column + k < width) to[k] = narrow<Y>(sums[r][k]);
        }
    }
}

#define SCATTER_ADD(name, part_name, sum_name, T) \
    extern "C" __global__ void __launch_bounds__(256) \
        name(const int* indices, const T* values, T* y, u32 rows, u32 width, u32 count) { \
        scatter_add(indices, values, y, rows, width, 0, count); \
    } \
    extern "C" __global__ void __launch_bounds__(256) \
        part_name(const int* indices, const T* values, float* part, u32 rows, u32 width, u32 count, u32 segment) { \
        const u32 first = blockIdx.z * segment; \
        float* to = part + u64(blockIdx.z) * rows * width; \
        scatter_add(indices, values, to, rows, width, first, min(count, first + segment)); \
    } \
    extern "C" __global__ void __launch_bounds__(256) sum_name(const float* part, T* y, u64 n, u32 segments) { \
        for (u64 j = u64(blockIdx.x) * blockDim.x + threadIdx.x; j < n; j += u64(gridDim.x) * blockDim.x) { \
            float sum = 0; \
            for (u32 s = 0; s < segments; s++) sum += part[s * n + j]; \
            y[j] = narrow<T>(sum); \
        } \
    }

// budget: 80 registers
SCATTER_ADD(scatter_add_f32, scatter_add_part_f32, scatter_add_sum_f32, float)
SCATTER_ADD(scatter_add_f16, scatter_add_part_f16, scatter_add_sum_f16, f16)
SCATTER_ADD(scatter_add_bf16, scatter_add_part_bf16, scatter_add_sum_bf16, bf16)
