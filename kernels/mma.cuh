// Matrix instructions of a warp, and the asynchronous copies that feed them (sm_80 and up).
//
// Fragments of mma.m16n8k16, with g = lane / 4 and t = lane % 4; a register holds two neighbouring 16-bit elements:
//
//   a[0] A[g][2t]   a[1] A[g+8][2t]   a[2] A[g][2t+8]   a[3] A[g+8][2t+8]     (and the next column)
//   b[0] B[2t][g]   b[1] B[2t+8][g]                                           (and the next row)
//   d[0] D[g][2t]   d[1] D[g][2t+1]   d[2] D[g+8][2t]   d[3] D[g+8][2t+1]
#pragma once

#include "storage.cuh"

// The address of a pointer within shared memory.
u32 shared_address(const void* pointer) { return u32(__cvta_generic_to_shared(pointer)); }

// Begins to copy the first `bytes` ≤ 16 bytes at `from` to shared memory, followed by zeros up to 16.
// Both addresses are multiples of 16.
void copy_async(u32 to, const void* from, u32 bytes) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(__cvta_generic_to_global(from)),
                 "r"(bytes)
                 : "memory");
}

// The same of one 4-byte element, or of none: then it becomes zero. Both addresses are multiples of 4.
void copy_async_word(u32 to, const void* from, u32 bytes) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to), "l"(__cvta_generic_to_global(from)),
                 "r"(bytes)
                 : "memory");
}

// Ends a group of copies.
void copy_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until at most the `PENDING` youngest groups of this thread are under way.
template <u32 PENDING> void copy_wait() { asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory"); }

// Stores and loads of shared memory; the addresses are multiples of what is moved.
void store_shared(u32 to, float x) { asm volatile("st.shared.f32 [%0], %1;" ::"r"(to), "f"(x) : "memory"); }

void store_shared(u32 to, float x, float y) {
    asm volatile("st.shared.v2.f32 [%0], {%1, %2};" ::"r"(to), "f"(x), "f"(y) : "memory");
}

void store_shared(u32 to, const u32 (&words)[4]) {
    asm volatile("st.shared.v4.u32 [%0], {%1, %2, %3, %4};" ::"r"(to), "r"(words[0]), "r"(words[1]), "r"(words[2]),
                 "r"(words[3])
                 : "memory");
}

void store_shared(u32 to, const float (&x)[4]) {
    asm volatile("st.shared.v4.f32 [%0], {%1, %2, %3, %4};" ::"r"(to), "f"(x[0]), "f"(x[1]), "f"(x[2]), "f"(x[3])
                 : "memory");
}

void load_shared(float (&x)[2], u32 from) {
    asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];" : "=f"(x[0]), "=f"(x[1]) : "r"(from) : "memory");
}

void load_shared(float (&x)[4], u32 from) {
    asm volatile("ld.shared.v4.f32 {%0, %1, %2, %3}, [%4];"
                 : "=f"(x[0]), "=f"(x[1]), "=f"(x[2]), "=f"(x[3])
                 : "r"(from)
                 : "memory");
}

// Four 8×8 matrices of 16-bit elements. Lane 8i + r gives the address of row r of matrix i, 16 bytes; r[i] becomes the
// elements (lane / 4, 2·(lane % 4)) and (lane / 4, 2·(lane % 4) + 1) of matrix i.
void load_matrices(u32 (&r)[4], u32 address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}

// The same of the transposed matrices.
void load_matrices_transposed(u32 (&r)[4], u32 address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}

// d += a·b: 16×16 by 16×8, summed in float.
template <class T> void multiply_add(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]);

#define MULTIPLY_ADD(T, type) \
    template <> void multiply_add<T>(float(&d)[4], const u32(&a)[4], const u32(&b)[2]) { \
        asm("mma.sync.aligned.m16n8k16.row.col.f32." type "." type ".f32 " \
            "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};" \
            : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) \
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1])); \
    }
MULTIPLY_ADD(f16, "f16")
MULTIPLY_ADD(bf16, "bf16")
#undef MULTIPLY_ADD

// A float rounded to the 11 bits of tf32, to nearest, ties away from zero.
u32 round_tf32(float x) {
    u32 rounded;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(rounded) : "f"(x));
    return rounded;
}

// d += a·b: 16×8 by 8×8 of tf32, summed in float. Fragments: a[0] A[g][t], a[1] A[g+8][t], a[2] A[g][t+4],
// a[3] A[g+8][t+4]; b[0] B[t][g], b[1] B[t+4][g]; d as above.
void multiply_add_tf32(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
