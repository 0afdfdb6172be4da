// Weights from codes of 4 to 8 bits with a scale for each group (crates/numeric/src/groups.rs has the layout).
//
//   decode_T(const u8* codes, const f16* scales, T* y, u64 n, u32 bits, u32 eights)
//
// T: f32, f16, bf16. n weights; bits of a code, 1 to 8; eights: a group has 8·eights codes, at least 8. codes and scales:
// whole groups, as many as n weights take.
// Launch: any grid (x) of any number of threads up to 256 (x); a thread strides over the grid. No dynamic shared memory.
// Alignment: of scales 2, of y 16 bytes.
// Contract: scale · (code − 2^(bits − 1)) in float, rounded once more to T: the host's bits.
// options: --fmad=false
#include "storage.cuh"

template <class T> void weights(const unsigned char* codes, const f16* scales, T* y, u64 n, u32 bits, u32 eights) {
    const u64 first = u64(blockIdx.x) * blockDim.x + threadIdx.x;
    const u64 step = u64(gridDim.x) * blockDim.x;
    const float zero = float(1u << (bits - 1));
    const u64 mask = (1u << bits) - 1;
    for (u64 eight = first; eight * 8 < n; eight += step) {
        const float scale = widen(scales[eight / eights]);
        u64 word = 0;
        for (u32 i = 0; i < bits; i++) word |= u64(codes[eight * bits + i]) << (i * 8);
        Pack<T, 8> out;
#pragma unroll
        for (u32 i = 0; i < 8; i++) out.lane[i] = narrow<T>(scale * (float(u32(word >> (i * bits) & mask)) - zero));
        if (eight * 8 + 8 <= n) {
            constexpr u32 LANES = 16 / sizeof(T);
#pragma unroll
            for (u32 i = 0; i < 8 / LANES; i++) {
                reinterpret_cast<Pack<T>*>(y + eight * 8)[i] = reinterpret_cast<const Pack<T>*>(&out)[i];
            }
        } else {
#pragma unroll
            for (u32 i = 0; i < 8; i++) {
                if (eight * 8 + i < n) y[eight * 8 + i] = out.lane[i];
            }
        }
    }
}

#define DECODE(name, T)                                                                                             \
    extern "C" __global__ void __launch_bounds__(256)                                                               \
        name(const unsigned char* codes, const f16* scales, T* y, u64 n, u32 bits, u32 eights) {                    \
        weights(codes, scales, y, n, bits, eights);                                                                 \
    }

// budget: 40 registers
DECODE(decode_f32, float)
DECODE(decode_f16, f16)
DECODE(decode_bf16, bf16)
