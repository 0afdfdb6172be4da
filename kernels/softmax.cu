// Softmax and sum of each row.
//
//   softmax_T(const T* x, T* y, u32 rows, u32 n, u32 team)    y[r][i] = e^(x[r][i] - M) / Σ_j e^(x[r][j] - M)
//   row_sum_f32(const float* x, float* y, u32 rows, u32 n)    y[r] = Σ_j x[r][j]
//
// M is the largest of row r.
// T: f32, f16, bf16, L = 16 / sizeof T. x: rows × n, contiguous, both below 2^31; softmax: y likewise, and may be x;
// row_sum: y of `rows` elements.
// softmax: `team` threads have a row: a power of two up to 32, or the whole block.
// Launch: any grid (x); teams, or blocks, stride over rows. Block: (32·w, 1, 1), 1 ≤ w ≤ 32. No dynamic shared memory.
// Alignment: that of T. softmax: if x and y are multiples of 16 bytes and n one of L, and n ≤ 16·team, a row is moved
// by 16 bytes and held in registers; if not, it is read three times, element by element.
// Contract: with u = 2^-24, t threads a row and s the elements of a thread (at most ⌈n/t⌉ + L - 1), a sum is off by at
// most (s + 9)·u·Σ|terms|, and an element of softmax by a relative (s + 15 + ln n + |x - M|)·u, before it is rounded to
// T. As the formula has it, a row that holds NaN or +∞, or nothing but -∞, becomes NaN. The bits depend on the team and
// on the alignment, not on the grid.
#include "row.cuh"

template <class T> void softmax(const T* x, T* y, u32 rows, u32 n, Team team) {
    const bool held = aligned16(x, y) && Part<T>::fits(n, team);
    team.each_row(rows, [&](u64 row) {
        const u32 m = row < rows ? n : 0;
        const T* from = x + row * n;
        T* to = y + row * n;
        float largest = Max::identity(), sum = 0;
        if (held) {
            Part<T> part;
            part.each(m, team, [&](u32 at, float* v) {
                load(v, from + at);
#pragma unroll
                for (u32 k = 0; k < Part<T>::LANES; k++) largest = Max::of(largest, v[k]);
            });
            largest = team.template reduce<Max>(largest);
            part.each(m, team, [&](u32, float* v) {
#pragma unroll
                for (u32 k = 0; k < Part<T>::LANES; k++) sum += v[k] = expf(v[k] - largest);
            });
            const float scale = 1.0f / team.template reduce<Sum>(sum);
            part.each(m, team, [&](u32 at, float* v) {
#pragma unroll
                for (u32 k = 0; k < Part<T>::LANES; k++) v[k] *= scale;
                store(to + at, v);
            });
        } else {
            for (u32 i = team.thread(); i < m; i += team.threads) largest = Max::of(largest, widen(from[i]));
            largest = team.template reduce<Max>(largest);
            for (u32 i = team.thread(); i < m; i += team.threads) sum += expf(widen(from[i]) - largest);
            const float scale = 1.0f / team.template reduce<Sum>(sum);
            for (u32 i = team.thread(); i < m; i += team.threads) {
                to[i] = narrow<T>(expf(widen(from[i]) - largest) * scale);
            }
        }
    });
}

#define SOFTMAX(name, T) \
    extern "C" __global__ void __launch_bounds__(1024) name(const T* x, T* y, u32 rows, u32 n, u32 team) { \
        softmax(x, y, rows, n, Team{team}); \
    }

// budget: 64 registers
SOFTMAX(softmax_f32, float)
SOFTMAX(softmax_f16, f16)
SOFTMAX(softmax_bf16, bf16)

// budget: 32 registers
extern "C" __global__ void __launch_bounds__(1024) row_sum_f32(const float* x, float* y, u32 rows, u32 n) {
    for (u32 row = blockIdx.x; row < rows; row += gridDim.x) {
        float sum = 0;
        for (u32 i = threadIdx.x; i < n; i += blockDim.x) sum += x[u64(row) * n + i];
        sum = block_reduce<Sum>(sum);
        if (threadIdx.x == 0) y[row] = sum;
    }
}
