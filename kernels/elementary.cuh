// f32 functions whose bits are those of crates/numeric/src/elementary.rs: + - × alone, in the same order.
// A source that includes this must be compiled with --fmad=false.
#pragma once

#include "storage.cuh"

// a₀ + a₁x + a₂x² + …, by Horner's rule.
template <u32 N> float polynomial(float x, const float (&a)[N]) {
    float sum = a[N - 1];
#pragma unroll
    for (u32 i = N - 1; i-- > 0;) sum = sum * x + a[i];
    return sum;
}

// ln x for a positive, finite and normal x.
float ln_normal(float x) {
    constexpr u32 SQRT_HALF = 0x3f3504f3;
    constexpr float LN_2[2] = {0.69314575f, 1.4286068e-6f}; // in 16 bits, and the rest
    const u32 shifted = __float_as_uint(x) - SQRT_HALF;
    const float exponent = float(int(shifted) >> 23);
    const float f = __uint_as_float((shifted & 0x007fffff) + SQRT_HALF) - 1.0f;
    const float tail = polynomial(
        f, {0.33333316f, -0.2500081f, 0.20002304f, -0.16624561f, 0.14180873f, -0.13128395f, 0.1288341f, -0.0786252f});
    const float square = f * f;
    const float small = (square * f) * tail + exponent * LN_2[1] - 0.5f * square;
    return (small + f) + exponent * LN_2[0];
}

// sin r for |r| ≤ π/4.
float sin_small(float r) {
    const float square = r * r;
    return r + r * square * polynomial(square, {-0.16666655f, 0.008332191f, -1.9518599e-4f});
}

// cos r for |r| ≤ π/4.
float cos_small(float r) {
    const float square = r * r;
    const float tail = polynomial(square, {0.041666646f, -0.0013887301f, 2.4430668e-5f});
    return (1.0f - 0.5f * square) + square * square * tail;
}

// sin(r + quadrant·π/2) for |r| ≤ π/4.
float sin_quadrant(float r, u32 quadrant) {
    const float y = (quadrant & 1) == 0 ? sin_small(r) : cos_small(r);
    return __uint_as_float(__float_as_uint(y) ^ (quadrant & 2) << 30);
}

// 2^n for -126 ≤ n ≤ 127.
float power_of_two(int n) { return __uint_as_float(u32(n + 127) << 23); }

// e^x.
float exponential(float x) {
    constexpr float LN_2[2] = {0.69314575f, 1.4286068e-6f}, ROUND = 12582912.0f;
    x = 89.0f < x ? 89.0f : x;
    x = x < -104.0f ? -104.0f : x;
    const float shifted = x * 1.44269504f + ROUND, n = shifted - ROUND;
    const float r = (x - n * LN_2[0]) - n * LN_2[1];
    const float expm1 = r + r * r * polynomial(r, {0.5f, 0.16666545f, 0.041666403f, 0.008366398f, 0.0013940653f});
    const int whole = int(__float_as_uint(shifted) - __float_as_uint(ROUND)), half = whole >> 1;
    return (expm1 + 1.0f) * power_of_two(half) * power_of_two(whole - half);
}

// 1/(1 + e^-x).
float logistic(float x) {
    const float e = exponential(-fabsf(x));
    return (x < 0 ? e : 1.0f) / (1.0f + e);
}
