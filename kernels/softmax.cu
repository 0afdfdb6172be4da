// Softmax and sum of each row.
//
//   softmax_T(const T* x, T* y, u32 rows, u32 n)              y[r][i] = e^(x[r][i] - M) / Σ_j e^(x[r][j] - M)
//   row_sum_f32(const float* x, float* y, u32 rows, u32 n)    y[r] = Σ_j x[r][j]
//
// M is the largest of row r.
// T: f32, f16, bf16. x: rows × n, contiguous, both below 2^31; softmax: y likewise, and may be x; row_sum: y of `rows`
// elements.
// Launch: any grid (x); blocks stride over rows. Block: (32·w, 1, 1), 1 ≤ w ≤ 32. No dynamic shared memory.
// Alignment: that of T.
// Contract: with t threads in a block and u = 2^-24, a sum is off by at most (⌈n/t⌉ + 9)·u·Σ|terms|, and an element of
// softmax by a relative (⌈n/t⌉ + 14 + ln n + |x - M|)·u, before it is rounded to T. As the formula has it, a row that
// holds NaN or +∞, or nothing but -∞, becomes NaN. The bits depend on w, not on the grid.
#include "reduce.cuh"

template <class T> void softmax(const T* x, T* y, u32 rows, u32 n) {
    for (u32 row = blockIdx.x; row < rows; row += gridDim.x) {
        const T* from = x + u64(row) * n;
        T* to = y + u64(row) * n;

        float largest = Max::identity();
        for (u32 i = threadIdx.x; i < n; i += blockDim.x) largest = Max::of(largest, widen(from[i]));
        largest = block_reduce<Max>(largest);

        float sum = 0;
        for (u32 i = threadIdx.x; i < n; i += blockDim.x) sum += expf(widen(from[i]) - largest);
        sum = block_reduce<Sum>(sum);

        for (u32 i = threadIdx.x; i < n; i += blockDim.x) to[i] = narrow<T>(expf(widen(from[i]) - largest) / sum);
    }
}

#define SOFTMAX(name, T) \
    extern "C" __global__ void __launch_bounds__(1024) name(const T* x, T* y, u32 rows, u32 n) { \
        softmax(x, y, rows, n); \
    }

// budget: 32 registers
SOFTMAX(softmax_f32, float)
SOFTMAX(softmax_f16, f16)
SOFTMAX(softmax_bf16, bf16)

extern "C" __global__ void __launch_bounds__(1024) row_sum_f32(const float* x, float* y, u32 rows, u32 n) {
    for (u32 row = blockIdx.x; row < rows; row += gridDim.x) {
        float sum = 0;
        for (u32 i = threadIdx.x; i < n; i += blockDim.x) sum += x[u64(row) * n + i];
        sum = block_reduce<Sum>(sum);
        if (threadIdx.x == 0) y[row] = sum;
    }
}
