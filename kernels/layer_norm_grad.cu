// Gradients of layer normalisation (Ba, Kiros & Hinton 2016).
//
// With x̂ = (x - μ)·rstd of each row, rstd = 1/√(σ² + eps), h = g·gain and means over the row:
//
//   y[r][i] = rstd·(h - mean h - x̂·mean(h·x̂))     sums[0][i] = Σ_r g·x̂     sums[1][i] = Σ_r g
//
//   layer_norm_grad_T(const T* g, const T* x, const T* gain, T* y, u32 rows, u32 n, float eps, u32 team)
//   layer_norm_sums_T(const T* g, const T* x, float* parts, u32 rows, u32 n, float eps, u32 chunk)
//
// T: f32, f16, bf16, L = 16 / sizeof T. g, x, y: rows × n, contiguous, both below 2^31; y may be g or x. gain: [n].
// parts: [C, 2, n], the share of each chunk of `chunk` ≤ 64 rows, C = ⌈rows/chunk⌉; with C = 1 the sums themselves.
// Launch: grad: as layer_norm.cu. sums: grid (C, 1, 1), block (32·w, 1, 1), 1 ≤ w ≤ 32. No dynamic shared memory.
// Alignment: that of T; parts 4 bytes. grad: if all pointers are multiples of 16 bytes and n one of L, and n ≤ 16·team,
// rows are moved by 16 bytes and held in registers; if not, they are read three times, element by element.
// Contract: moments as layer_norm.cu has them, means of h and h·x̂ by as many steps; sums add `chunk` terms one after the
// other. The bits depend on the team, on w, on chunk and on the alignment, not on the grid.
#include "layer_norm.cuh"

template <class T> void grad(const T* g, const T* x, const T* gain, T* y, u32 rows, u32 n, float eps, Team team) {
    const bool held = aligned16(g, x, gain, y) && Part<T>::fits(n, team);
    const float count = float(n);
    team.each_row(rows, [&](u64 row) {
        const u32 m = row < rows ? n : 0;
        const T *from = x + row * n, *of = g + row * n;
        T* to = y + row * n;
        float alone = 0, with = 0;
        if (held) {
            Part<T> part, other; // x̂ after a while, and h
            const float rstd = load_centred(part, from, m, n, eps, team);
            other.each(m, team, [&](u32 at, float* h) {
                float* v = part.value + (h - other.value);
                float factor[Part<T>::LANES];
                load(h, of + at);
                load(factor, gain + at);
#pragma unroll
                for (u32 k = 0; k < Part<T>::LANES; k++) {
                    v[k] *= rstd;
                    alone += h[k] *= factor[k];
                    with += h[k] * v[k];
                }
            });
            alone = team.template reduce<Sum>(alone) / count, with = team.template reduce<Sum>(with) / count;
            other.each(m, team, [&](u32 at, float* h) {
                const float* v = part.value + (h - other.value);
#pragma unroll
                for (u32 k = 0; k < Part<T>::LANES; k++) h[k] = (h[k] - alone - v[k] * with) * rstd;
                store(to + at, h);
            });
        } else {
            const auto [mean, rstd] = moments(from, m, n, eps, team);
            for (u32 i = team.thread(); i < m; i += team.threads) {
                const float h = widen(of[i]) * widen(gain[i]);
                alone += h;
                with += h * ((widen(from[i]) - mean) * rstd);
            }
            alone = team.template reduce<Sum>(alone) / count, with = team.template reduce<Sum>(with) / count;
            for (u32 i = team.thread(); i < m; i += team.threads) {
                const float h = widen(of[i]) * widen(gain[i]);
                to[i] = narrow<T>((h - alone - (widen(from[i]) - mean) * rstd * with) * rstd);
            }
        }
    });
}

template <class T> void sums(const T* g, const T* x, float* parts, u32 rows, u32 n, float eps, u32 chunk) {
    enum : u32 { MOST = 64 };
    __shared__ float means[MOST], rstds[MOST];
    const u64 first = u64(blockIdx.x) * chunk;
    const u32 there = u32(min(u64(rows) - first, u64(chunk))), lane = threadIdx.x % WARP;
    g += first * n, x += first * n;
    for (u32 row = threadIdx.x / WARP; row < there; row += blockDim.x / WARP) {
        const T* from = x + u64(row) * n;
        float sum = 0, squares = 0;
        for (u32 i = lane; i < n; i += WARP) sum += widen(from[i]);
        const float mean = warp_reduce<Sum>(sum) / float(n);
        for (u32 i = lane; i < n; i += WARP) {
            const float distance = widen(from[i]) - mean;
            squares += distance * distance;
        }
        squares = warp_reduce<Sum>(squares);
        if (lane == 0) means[row] = mean, rstds[row] = 1.0f / sqrtf(squares / float(n) + eps);
    }
    __syncthreads();
    float* to = parts + 2 * u64(blockIdx.x) * n;
    for (u32 i = threadIdx.x; i < n; i += blockDim.x) {
        float with = 0, alone = 0;
#pragma unroll 4
        for (u32 row = 0; row < there; row++) {
            const u64 at = u64(row) * n + i;
            const float value = widen(g[at]);
            with += value * ((widen(x[at]) - means[row]) * rstds[row]);
            alone += value;
        }
        to[i] = with, to[n + i] = alone;
    }
}

#define LAYER_NORM_GRAD(grad_name, sums_name, T) \
    extern "C" __global__ void __launch_bounds__(1024) \
        grad_name(const T* g, const T* x, const T* gain, T* y, u32 rows, u32 n, float eps, u32 team) { \
        grad(g, x, gain, y, rows, n, eps, Team{team}); \
    } \
    extern "C" __global__ void __launch_bounds__(1024) \
        sums_name(const T* g, const T* x, float* parts, u32 rows, u32 n, float eps, u32 chunk) { \
        sums(g, x, parts, rows, n, eps, chunk); \
    }

// budget: 64 registers
LAYER_NORM_GRAD(layer_norm_grad_f32, layer_norm_sums_f32, float)
LAYER_NORM_GRAD(layer_norm_grad_f16, layer_norm_sums_f16, f16)
LAYER_NORM_GRAD(layer_norm_grad_bf16, layer_norm_sums_bf16, bf16)
