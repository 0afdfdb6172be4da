// Matrix products of 16-bit factors on Hopper's tensor cores, and the layer norms of their rows (Ba, Kiros & Hinton 2016):
//
//   C = A·B, plus a row of biases        Z[r][i] = (X[r][i] - μ) / √(σ² + eps) · gain[i] + shift[i]
//
// X is C, or what a plan's own code (epilogue.cuh) stores of it there; μ and σ² are the mean and the variance of row r of X,
// σ² as the mean of squared distances from μ. Parameters:
//
//   (TensorMap a, TensorMap b, float* c, const float* bias, u32 m, u32 k, const float* x, const float* gain,
//    const float* shift, T* z, float eps)
//
// A: m × k, B: k × n, with n = BLOCKS · 160 for the kernel that ends in `xBLOCKS`; a and b, and the letter for B in a kernel's
// name: gemm_wgmma.cuh, of one matrix each. C, X, Z: m × n, contiguous; bias: n, or null; gain, shift: n. C may be X. X, Z,
// gain and shift lie at multiples of 16 bytes, C anywhere. Every element of X is stored by the thread that has the sum.
// A row's blocks are a cluster and tell each other sums of their parts through distributed shared memory.
// Launch: grid (⌈m/BLOCK_M⌉ · BLOCKS, 1, 1), blocks of 384 threads, dynamic shared memory as for gemm_wgmma.cuh: 196,688
// bytes for 128×160, 229,488 for 64×160.
// Contract: C as in gemm_16.cuh. With u = 2^-24, μ is off by at most (16 + BLOCKS)·u·mean|x|, σ² by a relative
// (19 + BLOCKS)·u and by the square of μ's error.
#pragma once

#include "cluster.cuh"
#include "gemm_wgmma.cuh"

// The parts of a product whose rows of parts are clusters, a block one part.
template <class Shape, u32 BLOCKS> struct Lines {
    u32 down, steps;

    u32 count() const { return down * BLOCKS; }
    Work at(u32 index) const {
        return {index / BLOCKS * Shape::BLOCK_M, index % BLOCKS * Shape::BLOCK_N, 0, steps, 0, 0, index};
    }
};

template <class Shape, u32 BLOCKS, bool DEEP_B> struct Clustered : Matrices<Shape, true, DEEP_B> {
    static constexpr u32 wide = 1;
    Lines<Shape, BLOCKS> parts;
};

// The norm of a warp's rows of a part: each of its lanes has four columns of every box, in every second row.
template <class Shape, u32 BLOCKS, class T> struct Norm {
    const float *x, *gain, *shift;
    T* z;
    u32 m;
    float eps;

    enum : u32 { ACROSS = Shape::ACROSS, LINES = 8, N = Shape::BLOCK_N, WIDTH = N * BLOCKS };
    static_assert(Shape::HEIGHT == 1, "a warp has 16 rows");

    void operator()(const Work& work, u32 room) const {
        const u32 lane = threadIdx.x % 32, within = lane % 16 * 4, warp = threadIdx.x / 32 % (Shape::TOGETHER * 4);
        const u32 first = work.row + warp * 16 + lane / 16;
        float v[ACROSS][LINES][4], sums[LINES] = {}, squares[LINES] = {};
        const auto each = [&](const auto& f) {
#pragma unroll
            for (u32 j = 0; j < ACROSS; j++) {
                const u32 column = j * 64 + within;
                if (column >= N) continue;
#pragma unroll
                for (u32 i = 0; i < LINES; i++) f(v[j][i], i, work.column + column);
            }
        };
        each([&](float (&four)[4], u32 i, u32 column) {
            Pack<float, 4> pack = {};
            const u32 row = first + 2 * i;
            if (row < m) pack = *reinterpret_cast<const Pack<float, 4>*>(x + u64(row) * WIDTH + column);
#pragma unroll
            for (u32 e = 0; e < 4; e++) sums[i] += four[e] = pack.lane[e];
        });
        meet(sums, room);
        each([&](float (&four)[4], u32 i, u32) {
#pragma unroll
            for (u32 e = 0; e < 4; e++) {
                const float distance = four[e] -= sums[i] / WIDTH;
                squares[i] += distance * distance;
            }
        });
        meet(squares, room + 64);
#pragma unroll
        for (u32 i = 0; i < LINES; i++) squares[i] = 1.0f / sqrtf(squares[i] / WIDTH + eps);
        // No block ends before all have read its sums.
        cluster_arrive();
        each([&](const float (&four)[4], u32 i, u32 column) {
            const u32 row = first + 2 * i;
            if (row >= m) return;
            const auto factor = *reinterpret_cast<const Pack<float, 4>*>(gain + column);
            const auto term = *reinterpret_cast<const Pack<float, 4>*>(shift + column);
            Pack<T, 4> pack;
#pragma unroll
            for (u32 e = 0; e < 4; e++) pack.lane[e] = narrow<T>(four[e] * squares[i] * factor.lane[e] + term.lane[e]);
            *reinterpret_cast<Pack<T, 4>*>(z + u64(row) * WIDTH + column) = pack;
        });
        cluster_wait();
    }

    static void keep(u32 to, float x) { asm volatile("st.shared.f32 [%0], %1;" ::"r"(to), "f"(x) : "memory"); }

    // Adds what all lanes of a row, and all blocks, have of it; `own` is a place for 16 numbers in shared memory.
    static void meet(float (&rows)[LINES], u32 own) {
        const u32 half = threadIdx.x % 32 / 16;
        __syncwarp();
#pragma unroll
        for (u32 i = 0; i < LINES; i++) {
#pragma unroll
            for (u32 apart = 8; apart > 0; apart /= 2) rows[i] += __shfl_xor_sync(~0u, rows[i], apart);
            if (threadIdx.x % 16 == 0) keep(own + (2 * i + half) * 4, rows[i]);
        }
        cluster_arrive();
        cluster_wait();
#pragma unroll
        for (u32 i = 0; i < LINES; i++) {
            rows[i] = 0;
#pragma unroll
            for (u32 rank = 0; rank < BLOCKS; rank++) rows[i] += cluster_load(own + (2 * i + half) * 4, rank);
        }
    }
};

// Both groups of warps have halves of the larger part.
using Halved = GroupTiling<128, 160, 2, 4>;

#define GEMM_NORM(name, T, Shape, BLOCKS, deep_b) \
    extern "C" __global__ void __cluster_dims__(BLOCKS, 1, 1) __launch_bounds__(Shape::THREADS, 1) \
        name(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b, float* c, const float* bias, \
             u32 m, u32 k, const float* x, const float* gain, const float* shift, T* z, float eps) { \
        const u32 n = Shape::BLOCK_N * BLOCKS, steps = (k + Shape::BLOCK_K - 1) / Shape::BLOCK_K; \
        const Clustered<Shape, BLOCKS, deep_b> product = { \
            {a, b, c, bias, m, n, 0, 0, 1, n, 0, {nullptr, nullptr, 1, 0, 0}, {m, n, steps, 1, 1}}, \
            {(m + Shape::BLOCK_M - 1) / Shape::BLOCK_M, steps}}; \
        const Norm<Shape, BLOCKS, T> norm = {x, gain, shift, z, m, eps}; \
        group_product<Shape, true, deep_b, T>(product, norm); \
    }
