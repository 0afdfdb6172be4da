// What sm_90a brought: barriers in shared memory, copies of boxes of tensors that complete on them, and products of
// groups of four warps.
//
// Boxes have rows of at most 64 elements of 16 bits, 128 bytes, whose chunks of 16 bytes change places within each group
// of eight rows (CU_TENSOR_MAP_SWIZZLE_128B); a box begins at a multiple of 1024 bytes.
#pragma once

#include "mma.cuh"

// A tensor as the driver describes it to the hardware (cuTensorMapEncodeTiled).
struct alignas(64) TensorMap {
    u64 words[16];
};

// A barrier, 8 bytes of shared memory: a phase of it is over when so many arrivals, and all bytes that are expected,
// have come.
void barrier_init(u32 barrier, u32 arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}

// Makes new barriers known to copies.
void barriers_made() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

void barrier_arrive(u32 barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

// Arrives, and has the phase wait for so many bytes of copies.
void barrier_expect(u32 barrier, u32 bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}

// Waits for the end of the phase of this parity: the first one's is 0. That before the first is over.
void barrier_wait(u32 barrier, u32 parity) {
    u32 over;
    do {
        asm volatile("{\n\t.reg .pred over;\n\t"
                     "mbarrier.try_wait.parity.shared::cta.b64 over, [%1], %2;\n\t"
                     "selp.u32 %0, 1, 0, over;\n\t}"
                     : "=r"(over)
                     : "r"(barrier), "r"(parity)
                     : "memory");
    } while (over == 0);
}

// Begins to copy the box at these coordinates, the contiguous axis first, to shared memory; what lies outside of the
// tensor becomes zeros. The box's bytes count for the barrier.
void copy_box(u32 to, const TensorMap& tensor, u32 barrier, u32 x, u32 y, u32 z) {
    asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%3, %4, %5}], [%2];" ::"r"(to),
                 "l"(&tensor), "r"(barrier), "r"(x), "r"(y), "r"(z)
                 : "memory");
}

void copy_box(u32 to, const TensorMap& tensor, u32 barrier, u32 x, u32 y, u32 z, u32 w) {
    asm volatile("cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%3, %4, %5, %6}], [%2];" ::"r"(to),
                 "l"(&tensor), "r"(barrier), "r"(x), "r"(y), "r"(z), "r"(w)
                 : "memory");
}

void copy_box(u32 to, const TensorMap& tensor, u32 barrier, u32 x, u32 y, u32 z, u32 v, u32 w) {
    asm volatile("cp.async.bulk.tensor.5d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%3, %4, %5, %6, %7}], [%2];" ::"r"(to),
                 "l"(&tensor), "r"(barrier), "r"(x), "r"(y), "r"(z), "r"(v), "r"(w)
                 : "memory");
}

// Registers of each thread of this group of warps, a multiple of 8; all of the group's threads say so.
template <u32 COUNT> void registers_raise() { asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(COUNT)); }
template <u32 COUNT> void registers_lower() { asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(COUNT)); }

// A matrix of boxes for products of groups of warps. DEEP: the boxes' rows are rows of the first factor or columns of
// the second, and neighbours are terms of a sum; eight rows lie 1024 bytes after the eight before. Otherwise a box has 64
// terms as rows, and 64 neighbours of the result; the next 64 neighbours lie a box of 8192 bytes further.
struct Boxes {
    enum : u32 { BYTES = 64 * 128 }; // of 64 rows
};

u64 descriptor(u32 address, u32 next_box = Boxes::BYTES) {
    return u64(1) << 62 | u64(1024 >> 4) << 32 | u64(next_box >> 4) << 16 | u64((address & 0x3ffff) >> 4);
}

// From one step of 16 terms to the next in a descriptor.
template <bool DEEP> constexpr u64 step_of_terms() { return (DEEP ? 16 * 2 : 16 * 128) >> 4; }
// From 64 rows of the first factor to the next.
constexpr u64 step_of_rows() { return Boxes::BYTES >> 4; }

// Products are asynchronous: begin, any number of them, commit; then wait until at most PENDING commits are under way.
// The sums are not to be touched in between.
void products_begin() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
void products_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <u32 PENDING> void products_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(PENDING) : "memory");
}

// sums += a·b, 64×16 by 16×N, or sums = a·b unless KEEP; with g = lane / 4, t = lane % 4 and warp w of the group, sums[4j + 2h + e] is row
// 16w + 8h + g, column 8j + 2t + e. `add_registers` takes a from registers: a[i] holds row 16w + 8·(i % 2) + g, terms
// 8·(i / 2) + 2t and the next.
template <class T, u32 N> struct Products;

#define P8(a, b, c, d, e, f, g, h) "%" #a ", %" #b ", %" #c ", %" #d ", %" #e ", %" #f ", %" #g ", %" #h
#define P8_0 P8(0, 1, 2, 3, 4, 5, 6, 7)
#define P8_1 P8(8, 9, 10, 11, 12, 13, 14, 15)
#define P8_2 P8(16, 17, 18, 19, 20, 21, 22, 23)
#define P8_3 P8(24, 25, 26, 27, 28, 29, 30, 31)
#define P8_4 P8(32, 33, 34, 35, 36, 37, 38, 39)
#define P8_5 P8(40, 41, 42, 43, 44, 45, 46, 47)
#define P8_6 P8(48, 49, 50, 51, 52, 53, 54, 55)
#define P8_7 P8(56, 57, 58, 59, 60, 61, 62, 63)
#define P8_8 P8(64, 65, 66, 67, 68, 69, 70, 71)
#define P8_9 P8(72, 73, 74, 75, 76, 77, 78, 79)
#define P8_10 P8(80, 81, 82, 83, 84, 85, 86, 87)
#define P8_11 P8(88, 89, 90, 91, 92, 93, 94, 95)
#define P8_12 P8(96, 97, 98, 99, 100, 101, 102, 103)
#define P8_13 P8(104, 105, 106, 107, 108, 109, 110, 111)
#define P8_14 P8(112, 113, 114, 115, 116, 117, 118, 119)
#define P8_15 P8(120, 121, 122, 123, 124, 125, 126, 127)
#define P32_0 P8_0 ", " P8_1 ", " P8_2 ", " P8_3
#define P32_1 P8_4 ", " P8_5 ", " P8_6 ", " P8_7
#define P32_2 P8_8 ", " P8_9 ", " P8_10 ", " P8_11
#define P32_3 P8_12 ", " P8_13 ", " P8_14 ", " P8_15
#define S8(i) \
    "+f"(sums[i]), "+f"(sums[i + 1]), "+f"(sums[i + 2]), "+f"(sums[i + 3]), "+f"(sums[i + 4]), "+f"(sums[i + 5]), \
        "+f"(sums[i + 6]), "+f"(sums[i + 7])
#define S32(i) S8(i), S8(i + 8), S8(i + 16), S8(i + 24)


// Keeps the compiler from moving registers of sums past this place.
template <u32 COUNT> void hold(float (&sums)[COUNT]) {
    static_assert(COUNT % 8 == 0, "by 8");
#pragma unroll
    for (u32 i = 0; i < COUNT; i += 8) asm volatile("" : S8(i)::"memory");
}

#define SUMS_32 S8(0), S8(8)
#define SUMS_48 S8(0), S8(8), S8(16)
#define SUMS_64 S32(0)
#define SUMS_80 SUMS_64, S8(32)
#define SUMS_128 SUMS_64, S32(32)
#define SUMS_160 SUMS_128, S8(64), S8(72)
#define SUMS_256 SUMS_128, S32(64), S32(96)

#define PRODUCTS(T, type, N, places, registers, p0, p1, p2, p3, p4, p5) \
    template <> struct Products<T, N> { \
        template <bool DEEP_A, bool DEEP_B, bool KEEP = true> \
        static void add(float (&sums)[N / 2], u64 a, u64 b) { \
            asm volatile("{\n\t.reg .pred keep;\n\tsetp.ne.u32 keep, " p4 ", 0;\n\t" \
                         "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." type "." type " {" places "}, " p0 ", " p1 \
                         ", keep, 1, 1, " p2 ", " p3 ";\n\t}" \
                         : registers \
                         : "l"(a), "l"(b), "n"(DEEP_A ? 0 : 1), "n"(DEEP_B ? 0 : 1), "n"(KEEP ? 1 : 0)); \
        } \
        template <bool DEEP_B> static void add_registers(float (&sums)[N / 2], const u32 (&a)[4], u64 b) { \
            asm volatile("{\n\t.reg .pred keep;\n\tsetp.eq.u32 keep, 0, 0;\n\t" \
                         "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." type "." type " {" places "}, {" p0 ", " p1 \
                         ", " p2 ", " p3 "}, " p4 ", keep, 1, 1, " p5 ";\n\t}" \
                         : registers \
                         : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "n"(DEEP_B ? 0 : 1)); \
        } \
    };
#define PRODUCTS_OF(T, type) \
    PRODUCTS(T, type, 32, P8_0 ", " P8_1, SUMS_32, "%16", "%17", "%18", "%19", "%20", "%21") \
    PRODUCTS(T, type, 48, P8_0 ", " P8_1 ", " P8_2, SUMS_48, "%24", "%25", "%26", "%27", "%28", "%29") \
    PRODUCTS(T, type, 64, P32_0, SUMS_64, "%32", "%33", "%34", "%35", "%36", "%37") \
    PRODUCTS(T, type, 80, P32_0 ", " P8_4, SUMS_80, "%40", "%41", "%42", "%43", "%44", "%45") \
    PRODUCTS(T, type, 128, P32_0 ", " P32_1, SUMS_128, "%64", "%65", "%66", "%67", "%68", "%69") \
    PRODUCTS(T, type, 160, P32_0 ", " P32_1 ", " P8_8 ", " P8_9, SUMS_160, "%80", "%81", "%82", "%83", "%84", "%85") \
    PRODUCTS(T, type, 256, P32_0 ", " P32_1 ", " P32_2 ", " P32_3, SUMS_256, "%128", "%129", "%130", "%131", "%132", \
             "%133")

PRODUCTS_OF(f16, "f16")
PRODUCTS_OF(bf16, "bf16")

#undef PRODUCTS_OF
#undef PRODUCTS
#undef SUMS_256
#undef SUMS_160
#undef SUMS_128
#undef SUMS_80
#undef SUMS_64
#undef SUMS_48
#undef SUMS_32
#undef S32
#undef S8
#undef P32_3
#undef P32_2
#undef P32_1
#undef P32_0
#undef P8_15
#undef P8_14
#undef P8_13
#undef P8_12
#undef P8_11
#undef P8_10
#undef P8_9
#undef P8_8
#undef P8_7
#undef P8_6
#undef P8_5
#undef P8_4
#undef P8_3
#undef P8_2
#undef P8_1
#undef P8_0
#undef P8
