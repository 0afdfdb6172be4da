// Noise as a pure function of (key, stream, index): the bits of `fill` in crates/numeric.
//
//   philox_uniform_f32, philox_normal_f32(float* out, u64 n, u32 key0, u32 key1, u32 stream, u64 first)
//   random_uniform_f32, random_normal_f32(float* out, u64 n, const u32* key, u32 stream, u64 first)    key: [2], in memory
//
// out[j], j < n, becomes element first + j of the stream: lane i % 4 of the Philox block with counter
// (lo(i/4), hi(i/4), stream, 0) for the element i, which wraps at 2^64.
// uniform: [0, 1) in multiples of 2^-24.
// normal: Box and Muller (1958); words (2k, 2k+1) give a radius √(-2 ln u) with u = (⌊w/2⌋ + ½)·2^-31 and an angle
// whose quadrant is the top two bits of its word; elements (2k, 2k+1) are the cosine and the sine.
// Launch: any grid (x) of any number of threads up to 256 (x); a thread strides over blocks of four elements.
// No dynamic shared memory.
// Alignment: 4 bytes. If `first` is a multiple of 4 and `out` of 16 bytes, four elements are written at once.
// Contract: bits. Only + - × √ of f32, rounded to nearest, in a fixed order: no fused multiply-add.
// options: --fmad=false
#include "elementary.cuh"
#include "philox.cuh"

struct Uniform {
    static Pack<float> of(const Words& words) {
        Pack<float> values;
#pragma unroll
        for (u32 k = 0; k < 4; k++) values.lane[k] = float(int(words.word[k] >> 8)) * (1.0f / 16777216.0f);
        return values;
    }
};

struct Normal {
    static Pack<float> of(const Words& words) {
        Pack<float> values;
#pragma unroll
        for (u32 k = 0; k < 4; k += 2) {
            const float radius = sqrtf(-2.0f * ln_normal(open_unit(words.word[k])));
            const u32 quadrant = words.word[k + 1] >> 30;
            const float angle = angle_in_quadrant(words.word[k + 1]);
            values.lane[k] = radius * sin_quadrant(angle, quadrant + 1);
            values.lane[k + 1] = radius * sin_quadrant(angle, quadrant);
        }
        return values;
    }

    // (⌊w/2⌋ + ½)·2^-31, rounded: in (0, 1].
    static float open_unit(u32 word) {
        return float(int(word >> 1)) * (1.0f / 2147483648.0f) + 1.0f / 4294967296.0f;
    }

    // From -π/4 to π/4, by the low 30 bits.
    static float angle_in_quadrant(u32 word) {
        const int turn = int(word & 0x3fffffff) - 0x20000000;
        return float(turn) * (1.57079637f / 1073741824.0f);
    }
};

template <class Law> void fill(float* out, u64 n, u32 key0, u32 key1, u32 stream, u64 first) {
    constexpr u64 INDICES = u64(1) << 62; // blocks of four in a stream
    const u64 skip = first % 4;           // elements of the first block that come before out[0]
    const u64 blocks = (skip + n + 3) / 4;
    const bool whole = skip == 0 && aligned16(out);
    const u64 step = u64(gridDim.x) * blockDim.x;
    for (u64 block = u64(blockIdx.x) * blockDim.x + threadIdx.x; block < blocks; block += step) {
        const Pack<float> values = Law::of(philox_block(key0, key1, stream, (first / 4 + block) % INDICES));
        if (whole && block < n / 4) {
            reinterpret_cast<Pack<float>*>(out)[block] = values;
            continue;
        }
#pragma unroll
        for (u32 k = 0; k < 4; k++) {
            const u64 j = 4 * block + k - skip; // wraps below zero, beyond any n
            if (j < n) out[j] = values.lane[k];
        }
    }
}

// budget: 32 registers
extern "C" __global__ void __launch_bounds__(256)
    philox_uniform_f32(float* out, u64 n, u32 key0, u32 key1, u32 stream, u64 first) {
    fill<Uniform>(out, n, key0, key1, stream, first);
}

extern "C" __global__ void __launch_bounds__(256)
    philox_normal_f32(float* out, u64 n, u32 key0, u32 key1, u32 stream, u64 first) {
    fill<Normal>(out, n, key0, key1, stream, first);
}

extern "C" __global__ void __launch_bounds__(256)
    random_uniform_f32(float* out, u64 n, const u32* key, u32 stream, u64 first) {
    fill<Uniform>(out, n, key[0], key[1], stream, first);
}

extern "C" __global__ void __launch_bounds__(256)
    random_normal_f32(float* out, u64 n, const u32* key, u32 stream, u64 first) {
    fill<Normal>(out, n, key[0], key[1], stream, first);
}
