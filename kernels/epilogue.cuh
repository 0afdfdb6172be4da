// Where the CUDA backend puts code of its own into a copy of a kernel (crates/cuda/src/splice.rs): before sums of a
// product are rounded and stored. As compiled here they stay what they are, and are stored.
//
// The line is "// epilogue TYPE x0 .. stores place column;": the type of the result, the sums of neighbours, whether the
// kernel is to store them (1, or 0 where the code has done so), the place of the first in the whole result and its column.
#pragma once

#include "storage.cuh"

#define EPILOGUE(C, type) \
    bool epilogue(const C*, float (&x)[1], u64 place, u64 column) { \
        u32 stores = 1; \
        asm volatile("// epilogue " type " %0 %1 %2 %3;" : "+f"(x[0]), "+r"(stores) : "l"(place), "l"(column)); \
        return stores != 0; \
    } \
    bool epilogue(const C*, float (&x)[2], u64 place, u64 column) { \
        u32 stores = 1; \
        asm volatile("// epilogue " type " %0 %1 %2 %3 %4;" \
                     : "+f"(x[0]), "+f"(x[1]), "+r"(stores) \
                     : "l"(place), "l"(column)); \
        return stores != 0; \
    } \
    bool epilogue(const C*, float (&x)[4], u64 place, u64 column) { \
        u32 stores = 1; \
        asm volatile("// epilogue " type " %0 %1 %2 %3 %4 %5 %6;" \
                     : "+f"(x[0]), "+f"(x[1]), "+f"(x[2]), "+f"(x[3]), "+r"(stores) \
                     : "l"(place), "l"(column)); \
        return stores != 0; \
    }

EPILOGUE(float, "f32")
EPILOGUE(f16, "f16")
EPILOGUE(bf16, "bf16")

#undef EPILOGUE
