// The types in which tensors are stored, and vectors of them.
//
// Arithmetic is done in float. `widen` is exact; `narrow` rounds once, to the nearest, ties to even.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

using u32 = unsigned int;
using u64 = unsigned long long;
using f16 = __half;
using bf16 = __nv_bfloat16;

float widen(float x) { return x; }
float widen(f16 x) { return __half2float(x); }
float widen(bf16 x) { return __bfloat162float(x); }

template <class T> T narrow(float x);
template <> float narrow(float x) { return x; }
template <> f16 narrow(float x) { return __float2half_rn(x); }
template <> bf16 narrow(float x) { return __float2bfloat16_rn(x); }

// Neighbours that one instruction loads or stores; by default as many as fill 16 bytes.
template <class T, u32 N = 16 / sizeof(T)> struct alignas(N * sizeof(T)) Pack {
    T lane[N];
};

template <class... T> bool aligned16(const T*... pointer) {
    return ((reinterpret_cast<u64>(pointer) | ...) & 15) == 0;
}
