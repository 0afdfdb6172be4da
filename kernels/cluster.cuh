// Blocks that run together and see each other's shared memory (sm_90).
#pragma once

#include "reduce.cuh"

u32 cluster_rank() {
    u32 rank;
    asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}

// What threads of the cluster wrote before they arrived, those that have waited see.
void cluster_arrive() {
    __syncwarp();
    asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
}
void cluster_wait() {
    __syncwarp();
    asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
}

// What lies at this place of the block's shared memory in the block of this rank.
float cluster_load(u32 own, u32 rank) {
    float x;
    asm volatile("{\n\t.reg .u32 there;\n\t"
                 "mapa.shared::cluster.u32 there, %1, %2;\n\t"
                 "ld.shared::cluster.f32 %0, [there];\n\t}"
                 : "=f"(x)
                 : "r"(own), "r"(rank)
                 : "memory");
    return x;
}
float cluster_load(const float* own, u32 rank) { return cluster_load(u32(__cvta_generic_to_shared(own)), rank); }

// The sum over all threads of the cluster's blocks, in their order; every thread gets it. `own` is a place in shared memory
// for this sum alone; no block may end before all have it.
template <u32 BLOCKS> float cluster_sum(float x, float* own) {
    const float part = block_reduce<Sum>(x);
    if (threadIdx.x == 0) *own = part;
    cluster_arrive();
    cluster_wait();
    float sum = 0;
#pragma unroll
    for (u32 rank = 0; rank < BLOCKS; rank++) sum += cluster_load(own, rank);
    return sum;
}
