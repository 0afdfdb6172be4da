// The second half of a product whose sums several blocks share: c = Σ shares, plus a row of biases.
//
//   sum_shares_f32, sum_shares_f16, sum_shares_bf16
//     (const float* shares, T* c, const T* bias, u64 count, u32 columns, u32 shares_count)
//
// shares: shares_count × count; c: count; bias: columns, or null; columns ≥ 1 divides count.
// Launch: grid (any, 1, 1), block (at most 256, 1, 1).
// Alignment: that of the elements.
// Contract: shares are added in order, the sum is rounded to T, then the bias is added and the sum rounded again: with
// u = 2^-24, the sum is off by at most (shares_count − 1)·u·Σ|share| before it is rounded.
#include "epilogue.cuh"

template <class T>
void sum_shares(const float* shares, T* c, const T* bias, u64 count, u32 columns, u32 shares_count) {
    const u64 stride = u64(gridDim.x) * blockDim.x;
    for (u64 i = u64(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += stride) {
        float sum = shares[i];
        for (u32 share = 1; share < shares_count; share++) sum += shares[share * count + i];
        const u32 column = i % columns;
        float x[1] = {sum};
        epilogue(c, x, i, column);
        T rounded = narrow<T>(x[0]);
        if (bias) rounded = narrow<T>(widen(rounded) + widen(bias[column]));
        c[i] = rounded;
    }
}

#define SUM_SHARES(name, T) \
    extern "C" __global__ void __launch_bounds__(256) \
        name(const float* shares, T* c, const T* bias, u64 count, u32 columns, u32 shares_count) { \
        sum_shares(shares, c, bias, count, columns, shares_count); \
    }

// budget: 32 registers
SUM_SHARES(sum_shares_f32, float)
SUM_SHARES(sum_shares_f16, f16)
SUM_SHARES(sum_shares_bf16, bf16)
