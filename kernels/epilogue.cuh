// Where the CUDA backend puts code of its own into a copy of a kernel (crates/cuda/src/splice.rs): before sums of a
// product are rounded and stored. As compiled here they stay what they are.
//
// The line is "// epilogue TYPE x0 .. place column;": the type of the result, the sums of neighbours, the place of the
// first in the whole result and its column.
#pragma once

#include "storage.cuh"

#define EPILOGUE(C, type) \
    void epilogue(const C*, float (&x)[1], u64 place, u64 column) { \
        asm volatile("// epilogue " type " %0 %1 %2;" : "+f"(x[0]) : "l"(place), "l"(column)); \
    } \
    void epilogue(const C*, float (&x)[2], u64 place, u64 column) { \
        asm volatile("// epilogue " type " %0 %1 %2 %3;" : "+f"(x[0]), "+f"(x[1]) : "l"(place), "l"(column)); \
    } \
    void epilogue(const C*, float (&x)[4], u64 place, u64 column) { \
        asm volatile("// epilogue " type " %0 %1 %2 %3 %4 %5;" \
                     : "+f"(x[0]), "+f"(x[1]), "+f"(x[2]), "+f"(x[3]) \
                     : "l"(place), "l"(column)); \
    }

EPILOGUE(float, "f32")
EPILOGUE(f16, "f16")
EPILOGUE(bf16, "bf16")

#undef EPILOGUE
