// Activation functions in float. With u = 2^-24, relative errors are at most: Sigmoid 4u, Silu 5u, Gelu 11u (and half
// the least subnormal).
#pragma once

#include "storage.cuh"

// 1/(1 + e^-x), with an exponential that cannot overflow.
struct Sigmoid {
    static float of(float x) {
        const float e = expf(-fabsf(x));
        return (x < 0 ? e : 1.0f) / (1.0f + e);
    }
};

// x·sigmoid(x) (Elfwing et al. 2018).
struct Silu {
    static float of(float x) { return x * Sigmoid::of(x); }
};

// x·Φ(x), Φ the normal distribution function (Hendrycks & Gimpel 2016), not its tanh approximation.
struct Gelu {
    static float of(float x) { return x * normcdff(x); }
};
