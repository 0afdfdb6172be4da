// Elementwise functions: y[i] = f(x[i]) and y[i] = f(a[i], b[i]).
//
//   sigmoid_T, silu_T, gelu_T(const T* x, T* y, u64 n)
//   add_T, mul_T(const T* a, const T* b, T* y, u64 n)
//
// T: f32, f16, bf16. n elements each; y may be any of the inputs.
// Launch: any grid (x) of any number of threads up to 256 (x); a thread strides over the grid.
// No dynamic shared memory.
// Alignment: that of T. If every pointer is a multiple of 16 bytes, all but the last n mod (16 / sizeof T) elements
// are read and written in vectors of 16 bytes.
// Contract: f in float, rounded once more to T. add and mul are correctly rounded; activation.cuh says how far off the
// others may be. The bits of y depend neither on the launch nor on the alignment: nothing is left to be contracted.
// options: --fmad=false
#include "activation.cuh"

struct Add {
    static float of(float a, float b) { return a + b; }
};

struct Mul {
    static float of(float a, float b) { return a * b; }
};

// y[i] = F(x[i], ..) for i < n.
template <class F, class T, class... X> void map(T* y, u64 n, const X*... x) {
    const u64 first = u64(blockIdx.x) * blockDim.x + threadIdx.x;
    const u64 step = u64(gridDim.x) * blockDim.x;
    constexpr u32 LANES = 16 / sizeof(T);
    const u64 packs = aligned16(y, x...) ? n / LANES : 0;
    for (u64 i = first; i < packs; i += step) {
        Pack<T> out;
        const auto apply = [&](const auto&... in) {
#pragma unroll
            for (u32 k = 0; k < LANES; k++) out.lane[k] = narrow<T>(F::of(widen(in.lane[k])...));
        };
        apply(Pack<X>(reinterpret_cast<const Pack<X>*>(x)[i])...);
        reinterpret_cast<Pack<T>*>(y)[i] = out;
    }
    for (u64 i = packs * LANES + first; i < n; i += step) y[i] = narrow<T>(F::of(widen(x[i])...));
}

#define UNARY(name, F, T) \
    extern "C" __global__ void __launch_bounds__(256) name(const T* x, T* y, u64 n) { map<F>(y, n, x); }
#define BINARY(name, F, T) \
    extern "C" __global__ void __launch_bounds__(256) name(const T* a, const T* b, T* y, u64 n) { map<F>(y, n, a, b); }

// budget: 32 registers
BINARY(add_f32, Add, float)
BINARY(add_f16, Add, f16)
BINARY(add_bf16, Add, bf16)
BINARY(mul_f32, Mul, float)
BINARY(mul_f16, Mul, f16)
BINARY(mul_bf16, Mul, bf16)
UNARY(sigmoid_f32, Sigmoid, float)
UNARY(sigmoid_f16, Sigmoid, f16)
UNARY(sigmoid_bf16, Sigmoid, bf16)
UNARY(silu_f32, Silu, float)
UNARY(silu_f16, Silu, f16)
UNARY(silu_bf16, Silu, bf16)
UNARY(gelu_f32, Gelu, float)
UNARY(gelu_f16, Gelu, f16)
UNARY(gelu_bf16, Gelu, bf16)
