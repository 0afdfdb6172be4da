// Products of 16-bit factors by groups of four warps, from boxes that the hardware copies (sm_90a).
//
// Three groups are a block. One of them has a thread that begins the copies of step after step, BLOCK_K = 64 terms each,
// into STAGES places of shared memory; the others multiply. A place has two barriers: `full` when its copies are there,
// `empty` when it has been read. Blocks stay and take part after part of the result; so the next part's factors are on
// their way while the last one's sums are stored. With TOGETHER = 2 both groups compute halves of a part; with 1 they
// take parts in turns, and one stores while the other multiplies: a group begins when the other one's last step is under
// way, as a third barrier tells it (a wait for `full` must not be two phases ahead). Sums go to memory through rooms of
// shared memory, one a warp, so that neighbours are stored together.
#pragma once

#include "ring.cuh"
#include "product.cuh"

template <u32 M, u32 N, u32 G, u32 S> struct GroupTiling {
    enum : u32 { BLOCK_M = M, BLOCK_N = N, BLOCK_K = 64, TOGETHER = G, STAGES = S };
    enum : u32 { GROUP_M = M / G, HEIGHT = GROUP_M / 64 }; // rows of a group; instructions below each other
    enum : u32 { GROUPS = 2, WARPS = GROUPS * 4, THREADS = (GROUPS + 1) * 128 };
    enum : u32 { ACROSS = (N + 63) / 64 }; // boxes of 64 columns, of which the last may be a part
    enum : u32 { BYTES_A = M * 128, STAGE_BYTES = BYTES_A + ACROSS * Boxes::BYTES, ROOM_BYTES = 16 * 64 * 4 };
    enum : u32 { ROOMS = S * STAGE_BYTES, FULL = ROOMS + WARPS * ROOM_BYTES, EMPTY = FULL + S * 8 };
    enum : u32 { ORDER = EMPTY + S * 8, BYTES = ORDER + GROUPS * 8 };
    enum : u32 { PIECES = M / 16 * ACROSS }; // of a part, as warps store it
    static_assert(GROUP_M % 64 == 0 && N % 16 == 0 && BYTES <= 227 * 1024, "whole boxes that fit");
};

// A part of the result and its steps along the sums.
struct Work {
    u32 row, column, first, last, batch, share, number; // `number` is that of the part among all without shares
};

// The parts of a product of rows × columns in tiles, times matrices of a batch, times shares of their sums.
template <class Shape> struct Parts {
    u32 down, across, steps, batch, shares;

    Parts(u32 rows, u32 columns, u32 steps, u32 batch, u32 shares)
        : down((rows + Shape::BLOCK_M - 1) / Shape::BLOCK_M), across((columns + Shape::BLOCK_N - 1) / Shape::BLOCK_N),
          steps(steps), batch(batch), shares(shares) {}

    u32 count() const { return down * across * batch * shares; }

    // Eight rows of parts are gone through together, so that blocks under way at a time share operands in the cache.
    Work at(u32 index) const {
        enum : u32 { GROUP = 8 };
        const u32 tiles = down * across, matrix = index / tiles, tile = index - matrix * tiles;
        const u32 z = matrix / shares, share = matrix - z * shares;
        const u32 group = tile / (GROUP * across), within = tile - group * (GROUP * across);
        const u32 height = min(down - group * GROUP, u32(GROUP));
        const u32 each = (steps + shares - 1) / shares, first = min(each * share, steps);
        return {(group * GROUP + within % height) * Shape::BLOCK_M,
                within / height * Shape::BLOCK_N,
                first,
                min(first + each, steps),
                z,
                share,
                z * tiles + tile};
    }
};

// Stores what is in a warp's room; `rows.at(row)` is the place of its row.
template <class C, class Rows> void store_room(const Output<C, Rows>& out, u32 room, u32 first_row, u32 first_column) {
    const u32 lane = threadIdx.x % 32, within = lane % 16 * 4, column = first_column + within;
    float biases[4];
    if (column >= out.columns) return;
    out.biases(biases, column);
#pragma unroll 1
    for (u32 row = lane / 16; row < 16; row += 2) {
        float sums[4];
        load_shared(sums, room + room_offset(row, within));
        out.store(out.rows.at(first_row + row), column, sums, biases);
    }
}

// Keeps a share of sums, which is in a warp's room, and fetches what all shares add up to.
template <class Out> void keep_room(const Out& out, const Shares& shares, u32 room, u32 first_row, u32 first_column) {
    const u32 lane = threadIdx.x % 32, within = lane % 16 * 4;
    if (first_column + within >= out.columns) return;
#pragma unroll 1
    for (u32 row = lane / 16; row < 16; row += 2) {
        float sums[4];
        load_shared(sums, room + room_offset(row, within));
        out.keep(shares, out.rows.at(first_row + row), first_column + within, sums);
    }
}
template <class Out> void add_room(const Out& out, const Shares& shares, u32 room, u32 first_row, u32 first_column) {
    enum : u32 { TOGETHER = 4 }; // rows, so that loads wait together
    const u32 lane = threadIdx.x % 32, within = lane % 16 * 4;
    if (first_column + within >= out.columns) return;
#pragma unroll 1
    for (u32 row = lane / 16; row < 16; row += 2 * TOGETHER) {
        float sums[TOGETHER][4];
        typename Out::Row places[TOGETHER];
#pragma unroll
        for (u32 i = 0; i < TOGETHER; i++) {
            places[i] = out.rows.at(first_row + row + 2 * i);
            for (float& sum : sums[i]) sum = -0.0f;
        }
#pragma unroll 1
        for (u32 share = 0; share < shares.number; share++) {
#pragma unroll
            for (u32 i = 0; i < TOGETHER; i++) out.add(shares, share, places[i], first_column + within, sums[i]);
        }
#pragma unroll
        for (u32 i = 0; i < TOGETHER; i++) store_shared(room + room_offset(row + 2 * i, within), sums[i]);
    }
}

struct Nothing {
    void operator()(const Work&, u32) const {}
};

// Product: the parts (`parts`), what all steps of one begin with (`origin`), the copies of a step (`fetch`), where a
// part's sums go (`result`) and, if they are shared, where shares do (`shares`). Then: what each warp does when its sums of
// a part are stored, with its room.
template <class Shape, bool DEEP_A, bool DEEP_B, class T, class Product, class Then = Nothing>
void group_product(const Product& product, const Then& then = {}) {
    enum : u32 { STAGES = Shape::STAGES, HEIGHT = Shape::HEIGHT, N = Shape::BLOCK_N };
    extern __shared__ __align__(1024) uint4 memory[];
    const u32 shared = shared_address(memory), full = shared + Shape::FULL, empty = shared + Shape::EMPTY;
    if (threadIdx.x == 0) {
#pragma unroll 1
        for (u32 stage = 0; stage < STAGES; stage++) {
            barrier_init(full + stage * 8, 1);
            barrier_init(empty + stage * 8, 4 * Shape::TOGETHER);
        }
        for (u32 group = 0; group < Shape::GROUPS; group++) barrier_init(shared + Shape::ORDER + group * 8, 4);
        barriers_made();
    }
    __syncthreads();
    const auto& parts = product.parts;
    const u32 count = parts.count();
    // The same of all lanes, as the compiler then sees.
    const u32 warp = __shfl_sync(~0u, threadIdx.x / 32, 0), lane = threadIdx.x % 32;
    Turn<STAGES> turn;
    if (warp >= Shape::WARPS) {
        registers_lower<40>();
        if (threadIdx.x != Shape::WARPS * 32) return;
#pragma unroll 1
        for (u32 index = blockIdx.x; index < count; index += gridDim.x) {
            const Work work = parts.at(index);
            const auto origin = product.origin(work);
#pragma unroll 1
            for (u32 step = work.first; step < work.last; step++, turn.advance(1)) {
                const u32 barrier = full + turn.stage * 8, to = shared + turn.stage * Shape::STAGE_BYTES;
                barrier_wait(empty + turn.stage * 8, turn.parity ^ 1);
                barrier_expect(barrier, Shape::BYTES_A + (DEEP_B ? N * 128 : Shape::ACROSS * Boxes::BYTES));
                product.fetch(to, barrier, work, origin, step);
            }
        }
        return;
    }
    registers_raise<232>();
    const u32 group = warp / 4, below = Shape::TOGETHER == 2 ? group * Shape::GROUP_M : 0;
    const u32 room = shared + Shape::ROOMS + warp * Shape::ROOM_BYTES;
    u32 number = 0;
#pragma unroll 1
    for (u32 index = blockIdx.x; index < count; index += gridDim.x, number++) {
        const Work work = parts.at(index);
        if (Shape::TOGETHER == 1 && number % 2 != group) {
            turn.advance(work.last - work.first);
            continue;
        }
        float sums[HEIGHT][N / 2] = {};
        u32 before = 0;
        // The other group has begun one part less than this one, or as many.
        if (Shape::TOGETHER == 1) barrier_wait(shared + Shape::ORDER + group * 8, number / 2 + 1 - group & 1);
#pragma unroll 1
        for (u32 step = work.first; step < work.last; step++) {
            const u32 stage = shared + turn.stage * Shape::STAGE_BYTES;
            const u64 a = descriptor(stage + below * 128), b = descriptor(stage + Shape::BYTES_A);
            barrier_wait(full + turn.stage * 8, turn.parity);
#pragma unroll
            for (u32 i = 0; i < HEIGHT; i++) hold(sums[i]);
            products_begin();
#pragma unroll
            for (u32 terms = 0; terms < Shape::BLOCK_K / 16; terms++) {
#pragma unroll
                for (u32 i = 0; i < HEIGHT; i++) {
                    Products<T, N>::template add<DEEP_A, DEEP_B>(
                        sums[i], a + i * step_of_rows() + terms * step_of_terms<DEEP_A>(),
                        b + terms * step_of_terms<DEEP_B>());
                }
            }
            products_commit();
#pragma unroll
            for (u32 i = 0; i < HEIGHT; i++) hold(sums[i]);
            // The step before is over, and its place may be filled anew.
            products_wait<1>();
            if (step > work.first && lane == 0) barrier_arrive(before);
            before = empty + turn.stage * 8;
            turn.advance(1);
        }
        if (Shape::TOGETHER == 1 && lane == 0) barrier_arrive(shared + Shape::ORDER + (1 - group) * 8);
        products_wait<0>();
#pragma unroll
        for (u32 i = 0; i < HEIGHT; i++) hold(sums[i]);
        if (work.last > work.first && lane == 0) barrier_arrive(before);

        // Piece by piece of 64 columns, so that there is one copy of what stores them. Blocks that share sums begin with
        // different pieces: so none of them comes last with all.
        enum : u32 { ACROSS = Shape::ACROSS };
        Shares shares = product.shares;
        shares.own = work.share;
#pragma unroll 1
        for (u32 turn = 0; turn < HEIGHT * ACROSS; turn++) {
            const u32 piece = (turn + work.share) % (HEIGHT * ACROSS);
            __syncwarp();
#pragma unroll
            for (u32 i = 0; i < HEIGHT * ACROSS; i++) {
                if (i == piece) fill_room(room, sums[i / ACROSS], i % ACROSS * 32);
            }
            __syncwarp();
            const u32 within = below + piece / ACROSS * 64 + warp % 4 * 16, row = work.row + within;
            const u32 column = work.column + piece % ACROSS * 64;
            if (shares.exist()) {
                const auto out = product.template result<float>(work);
                keep_room(out, shares, room, row, column);
                if (!shares.warp_arrives(work.number * Shape::PIECES + within / 16 * ACROSS + piece % ACROSS)) continue;
                add_room(out, shares, room, row, column);
            }
            if (product.wide) store_room(product.template result<float>(work), room, row, column);
            else store_room(product.template result<T>(work), room, row, column);
        }
        then(work, room);
    }
}

// Large parts for large products, middle ones that groups take in turns, and small ones for small products.
using Widest = GroupTiling<128, 256, 2, 4>;
using Middle = GroupTiling<128, 128, 1, 6>;
using Fifth = GroupTiling<128, 160, 1, 4>; // 320 columns are two
using Low = GroupTiling<64, 160, 1, 6>;
using Least = GroupTiling<64, 64, 1, 8>;
