// Moments of rows, as layer_norm.cu has them, for the norm and its gradient.
#pragma once

#include "row.cuh"

// Loads a row of m elements, n where it exists, and leaves distances from its mean; 1/√(σ² + eps).
template <class T> float load_centred(Part<T>& part, const T* from, u32 m, u32 n, float eps, Team team) {
    float sum = 0, squares = 0;
    part.each(m, team, [&](u32 at, float* v) {
        load(v, from + at);
#pragma unroll
        for (u32 k = 0; k < Part<T>::LANES; k++) sum += v[k];
    });
    const float mean = team.template reduce<Sum>(sum) / float(n);
    part.each(m, team, [&](u32, float* v) {
#pragma unroll
        for (u32 k = 0; k < Part<T>::LANES; k++) {
            const float distance = v[k] -= mean;
            squares += distance * distance;
        }
    });
    return 1.0f / sqrtf(team.template reduce<Sum>(squares) / float(n) + eps);
}

// The same of a row that is not held: the mean, and 1/√(σ² + eps).
template <class T> float2 moments(const T* from, u32 m, u32 n, float eps, Team team) {
    float sum = 0, squares = 0;
    for (u32 i = team.thread(); i < m; i += team.threads) sum += widen(from[i]);
    const float mean = team.template reduce<Sum>(sum) / float(n);
    for (u32 i = team.thread(); i < m; i += team.threads) {
        const float distance = widen(from[i]) - mean;
        squares += distance * distance;
    }
    return {mean, 1.0f / sqrtf(team.template reduce<Sum>(squares) / float(n) + eps)};
}
