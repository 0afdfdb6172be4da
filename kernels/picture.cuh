// How blocks share a picture [samples, pixels, channels]: a sample's pixels are cut into chunks, its channels into slabs.
#pragma once

#include "storage.cuh"

// The pixels and channels of a thread.
template <class T> struct Share {
    enum : u32 { LANES = 16 / sizeof(T) };
    u32 sample, chunk, first, last, channel, end;
    u64 start; // of the sample
    bool packed;

    Share(u32 pixels, u32 channels, u32 chunk_pixels, u32 slab, bool aligned) {
        const u32 chunks = (pixels + chunk_pixels - 1) / chunk_pixels;
        sample = blockIdx.x / chunks, chunk = blockIdx.x % chunks;
        first = chunk * chunk_pixels + threadIdx.y, last = min(pixels, (chunk + 1) * chunk_pixels);
        channel = blockIdx.y * slab + threadIdx.x * LANES, end = min(channels, (blockIdx.y + 1) * slab);
        start = u64(sample) * pixels * channels;
        packed = aligned && channels % LANES == 0 && slab % LANES == 0;
    }

    // Calls f(Pack<T, N>{}, channel) for the thread's channels within the slab, N at a time.
    template <class F> void each(const F& f) const {
        if (packed) {
            if (channel < end) f(Pack<T>{}, channel);
            return;
        }
#pragma unroll 1
        for (u32 k = 0; k < LANES && channel + k < end; k++) f(Pack<T, 1>{}, channel + k);
    }
};

template <class T, u32 N> Pack<T, N> load(const T* from) { return *reinterpret_cast<const Pack<T, N>*>(from); }
