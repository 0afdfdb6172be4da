// Layer normalisation (Ba, Kiros & Hinton 2016):
//
//   y[r][i] = (x[r][i] - μ) / √(σ² + eps) · gain[i] + bias[i]
//
// μ and σ² are the mean and the variance of row r, σ² as the mean of squared distances from μ in a second pass.
//
//   layer_norm_T, layer_norm_T_Y(const T* x, const T* gain, const T* bias, Y* y, u32 rows, u32 n, float eps, u32 team)
//
// T: f32, f16, bf16, L = 16 / sizeof T. Y: T if it is not named; f16 and bf16 of f32. x, y: rows × n, contiguous, both
// below 2^31; y may be x if Y is T. gain, bias: [n].
// `team` threads have a row: a power of two up to 32, or the whole block.
// Launch: any grid (x); teams stride over rows. Block: (32·w, 1, 1), 1 ≤ w ≤ 32. No dynamic shared memory.
// Alignment: that of T. If all pointers are multiples of 16 bytes and n one of L, and n ≤ 16·team, a row is moved by 16
// bytes and held in registers; if not, it is read three times, element by element.
// Contract: with u = 2^-24, t threads a row and s = ⌈n/t⌉ + L - 1, μ is off by at most (s + 11)·u·mean|x|, σ² by a
// relative (s + 14)·u and by the square of μ's error. The bits depend on the team and on the alignment, not on the grid.
#include "finish.cuh"
#include "layer_norm.cuh"

template <class T, class Y>
void layer_norm(const T* x, const T* gain, const T* bias, Y* y, u32 rows, u32 n, float eps, Team team) {
    const bool held = aligned16(x, gain, bias, y) && Part<T>::fits(n, team);
    team.each_row(rows, [&](u64 row) {
        const u32 m = row < rows ? n : 0;
        const T* from = x + row * n;
        Y* to = y + row * n;
        if (held) {
            Part<T> part;
            const float scale = load_centred(part, from, m, n, eps, team);
            part.each(m, team, [&](u32 at, float* v) {
                float factor[Part<T>::LANES], term[Part<T>::LANES];
                load(factor, gain + at);
                load(term, bias + at);
#pragma unroll
                for (u32 k = 0; k < Part<T>::LANES; k++) v[k] = v[k] * scale * factor[k] + term[k];
                finish<Part<T>::LANES>(to + at, v, row * n + at, at);
            });
        } else {
            const auto [mean, scale] = moments(from, m, n, eps, team);
            for (u32 i = team.thread(); i < m; i += team.threads) {
                const float z = (widen(from[i]) - mean) * scale * widen(gain[i]) + widen(bias[i]);
                finish<1>(to + i, &z, row * n + i, i);
            }
        }
    });
}

#define LAYER_NORM(name, T, Y) \
    extern "C" __global__ void __launch_bounds__(1024) \
        name(const T* x, const T* gain, const T* bias, Y* y, u32 rows, u32 n, float eps, u32 team) { \
        layer_norm(x, gain, bias, y, rows, n, eps, Team{team}); \
    }

// budget: 64 registers
LAYER_NORM(layer_norm_f32, float, float)
LAYER_NORM(layer_norm_f32_f16, float, f16)
LAYER_NORM(layer_norm_f32_bf16, float, bf16)
LAYER_NORM(layer_norm_f16, f16, f16)
LAYER_NORM(layer_norm_bf16, bf16, bf16)
