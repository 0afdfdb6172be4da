// What partial sums of several blocks add up to: c = Σ shares.
//
//   sum_shares (const float* shares, float* c, u64 count, u32 shares_count)
//
// shares: shares_count × count; c: count.
// Launch: grid (any, 1, 1), block (at most 256, 1, 1).
// Alignment: that of the elements.
// Contract: shares are added in order: with u = 2^-24, a sum is off by at most (shares_count − 1)·u·Σ|share|.
#include "storage.cuh"

// budget: 32 registers
extern "C" __global__ void __launch_bounds__(256)
    sum_shares(const float* shares, float* c, u64 count, u32 shares_count) {
    const u64 stride = u64(gridDim.x) * blockDim.x;
    for (u64 i = u64(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += stride) {
        float sum = shares[i];
        for (u32 share = 1; share < shares_count; share++) sum += shares[share * count + i];
        c[i] = sum;
    }
}
