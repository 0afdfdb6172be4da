//! What a cluster of GPUs would take, on paper: published speeds of links, the latencies that NCCL itself reckons with, and
//! times that were measured on one GPU.

/// GPUs of a machine.
const MACHINE: usize = 8;

/// Machines of eight GPUs and what joins them. Speeds in bytes a second, latencies in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cluster {
    /// What it is called.
    pub name: &'static str,
    /// What a ring of GPUs within a machine carries.
    inner: f64,
    /// What a machine sends to the next one.
    outer: f64,
    /// A step of a ring within a machine and between machines, for much and for little to send.
    inner_step: [f64; 2],
    outer_step: [f64; 2],
}

/// Of a link's speed on paper, what NCCL reaches: 370 of 450 GB/s on NVLink (NVIDIA/nccl-tests, issue 212).
const REACHED: f64 = 370.0 / 450.0;
/// What every call takes (NCCL, `src/graph/tuning.cc`: `baseLat` of rings, Simple and LL).
const CALL: [f64; 2] = [8.4e-6, 3.6e-6];

impl Cluster {
    /// H100s on NVLink 4 (450 GB/s a direction), a 400 Gbit/s InfiniBand adapter each.
    pub const NVLINK: Cluster = Cluster {
        name: "NVLink, 8 × NDR 400",
        inner: 450e9 * REACHED,
        outer: 8.0 * 50e9 * REACHED,
        inner_step: [3.4e-6, 0.47e-6],
        outer_step: [9.6e-6, 2.7e-6],
    };
    /// Cards in PCIe 5 ×16 (64 GB/s a direction), one such adapter a machine.
    pub const PCIE: Cluster = Cluster {
        name: "PCIe 5, one NDR 400",
        inner: 64e9 * REACHED,
        outer: 50e9 * REACHED,
        inner_step: [5.7e-6, 1.0e-6],
        outer_step: [9.6e-6, 2.7e-6],
    };
    /// The same with 100 Gbit/s Ethernet by TCP, whose latency is an assumption.
    pub const ETHERNET: Cluster = Cluster {
        name: "PCIe 5, 100 Gbit/s Ethernet",
        inner: 64e9 * REACHED,
        outer: 12.5e9 * REACHED,
        inner_step: [5.7e-6, 1.0e-6],
        outer_step: [30e-6, 30e-6],
    };
    /// All of them.
    pub const ALL: [Cluster; 3] = [Cluster::NVLINK, Cluster::PCIE, Cluster::ETHERNET];

    /// What a ring of so many GPUs carries, and the seconds of `rounds` rounds of it: for much (0) or little (1) to send.
    fn ring(&self, gpus: usize, rounds: usize, kind: usize) -> (f64, f64) {
        let machines = gpus.div_ceil(MACHINE);
        let between = if machines > 1 { machines } else { 0 };
        let (inner, outer) = (rounds * (gpus - 1).saturating_sub(between), rounds * between.saturating_sub(1));
        let speed = if machines > 1 { self.inner.min(self.outer) } else { self.inner };
        (speed, CALL[kind] + inner as f64 * self.inner_step[kind] + outer as f64 * self.outer_step[kind])
    }

    /// Seconds in which so many bytes are added up over GPUs: 2(n − 1)/n of them through every link of a ring; for few bytes, a
    /// tree over machines of a ring in each (`hwLat` of trees, LL: 0.52, 1.0 and 5 µs).
    pub fn all_reduce(&self, gpus: usize, bytes: f64) -> f64 {
        if gpus < 2 {
            return 0.0;
        }
        let n = gpus as f64;
        let (speed, latency) = self.ring(gpus, 2, 0);
        let ring = latency + 2.0 * (n - 1.0) / n * bytes / speed;
        let machines = gpus.div_ceil(MACHINE);
        let (small, step) = (self.inner_step[1] * 1.1, if self.outer_step[1] > 1e-5 { 30e-6 } else { 5e-6 });
        let levels = (machines as f64).log2().ceil();
        let tree =
            4.4e-6 + 2.0 * ((gpus.min(MACHINE) - 1) as f64 * small + levels * step) + 2.0 * bytes / (0.9 * speed / 3.8);
        ring.min(tree)
    }

    /// Seconds in which every GPU gives so many bytes to all.
    pub fn all_gather(&self, gpus: usize, bytes: f64) -> f64 {
        if gpus < 2 {
            return 0.0;
        }
        let all = (gpus - 1) as f64 * bytes;
        let [much, little] = [0, 1].map(|kind| {
            let (speed, latency) = self.ring(gpus, 1, kind);
            // LL spends half of each word on a flag, and half of the speed on waiting for it.
            latency + all / if kind == 1 { speed / 4.0 } else { speed }
        });
        much.min(little)
    }

    /// Seconds in which neighbours exchange so many bytes.
    pub fn neighbours(&self, gpus: usize, bytes: f64) -> f64 {
        if gpus < 2 {
            return 0.0;
        }
        let step = if gpus > MACHINE { self.outer_step[0] } else { self.inner_step[0] };
        let speed = if gpus > MACHINE { self.inner.min(self.outer) } else { self.inner };
        CALL[0] + step + bytes / speed
    }
}

/// A training, of which one GPU was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Training {
    /// What learns.
    pub name: &'static str,
    /// Its weights; a gradient has 4 bytes of each.
    pub weights: f64,
    /// Seconds an example, forward and backward.
    pub example: f64,
    /// Examples of a step on one GPU.
    pub batch: f64,
    /// Examples of a step on all GPUs, where that stays.
    pub global: f64,
}

/// What a step takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Seconds.
    pub seconds: f64,
    /// What one GPU alone takes for its part of the examples, as a share of them.
    pub efficiency: f64,
    /// Seconds in which gradients travel and nothing else is done.
    pub waits: f64,
}

/// Bytes that travel together: PyTorch's buckets have 25 MB; larger ones wait for fewer rounds, and begin later.
const BUCKETS: [f64; 3] = [25e6, 100e6, 400e6];
/// Bytes a second that one GPU reads and writes (measured: a copy on an H100).
const MEMORY: f64 = 2.5e12;
/// The share of a step that is the backward pass.
const BACKWARD: f64 = 2.0 / 3.0;

impl Training {
    /// The U-Net of Stable Diffusion 1.5 at 512×512. Three times the time of its evaluation on an H100: 6.79 ms of two.
    pub const STABLE_DIFFUSION: Training = Training {
        name: "SD 1.5 U-Net, 860 M weights",
        weights: 860e6,
        example: 3.0 * 6.79e-3 / 2.0,
        batch: 8.0,
        global: 2048.0,
    };
    /// A U-Net of 11.2 M weights on 64 latents of 32×32: 9.55 ms a step on an H100.
    pub const SMALL: Training = Training {
        name: "U-Net of 11 M weights",
        weights: 11.2e6,
        example: 9.55e-3 / 64.0,
        batch: 64.0,
        global: 4096.0,
    };

    /// AdamW on `share` of the weights: those, two moments and a gradient read, three of them written.
    fn update(&self, share: f64) -> f64 {
        7.0 * 4.0 * self.weights * share / MEMORY
    }

    /// One step of `batch` examples a GPU. Gradients travel in buckets beside the backward pass, of the size that is best; what is
    /// left of that, and the last bucket, is waited for. With a sharded optimiser each GPU changes its part of the weights, which costs no byte
    /// more: reduce-scatter and all-gather are the halves of a sum.
    pub fn step(&self, cluster: &Cluster, gpus: usize, batch: f64, sharded: bool) -> Step {
        let computed = batch * self.example;
        let bytes = 4.0 * self.weights;
        let waits = |bucket: f64| {
            let buckets = (bytes / bucket).ceil().max(1.0);
            let travels = buckets * cluster.all_reduce(gpus, bytes / buckets);
            let beside = BACKWARD * computed * (1.0 - 1.0 / buckets);
            (travels - beside).max(travels / buckets)
        };
        let waits = BUCKETS.into_iter().map(waits).fold(f64::INFINITY, f64::min);
        let alone = computed + self.update(1.0);
        let update = self.update(if sharded { 1.0 / gpus as f64 } else { 1.0 });
        let seconds = computed + update + if gpus > 1 { waits } else { 0.0 };
        Step { seconds, efficiency: alone / seconds, waits: if gpus > 1 { waits } else { 0.0 } }
    }

    /// One step of the same examples in all on so many GPUs. One GPU alone takes its seconds for them, and one update; the
    /// efficiency is that over what all GPUs spend.
    pub fn step_of_all(&self, cluster: &Cluster, gpus: usize) -> Step {
        let step = self.step(cluster, gpus, self.global / gpus as f64, false);
        let alone = self.global * self.example + self.update(1.0);
        Step { efficiency: alone / (gpus as f64 * step.seconds), ..step }
    }
}

/// Population annealing, of which one GPU and the bytes were measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Population {
    /// Members in all.
    pub members: f64,
    /// Spins of each.
    pub spins: f64,
    /// Sweeps at a temperature.
    pub sweeps: f64,
    /// Spins that a GPU visits a second (measured on an H100: 64 members a word, with bits of their own).
    pub rate: f64,
    /// Seconds that weights and children of a member take on the processor.
    pub host: f64,
    /// Bytes of sums and counts that a rank gives to all at a temperature: each rank's own, and those of blocks of founders,
    /// which are as many whatever the number of ranks.
    pub sums: [f64; 2],
    /// Members that move between two neighbours at a temperature, as a share of the root of all.
    pub moved: f64,
}

/// Half a sweep as a node of a CUDA graph (measured on an H100), and one launch of it.
const LAUNCH: f64 = 1e-6;
const GRAPH: f64 = 7.2e-6;
/// Bytes a second between a GPU and its host: PCIe 5 ×16, as far as it is reached.
const HOST: f64 = 64e9 * REACHED;

impl Population {
    /// Seconds of a temperature on so many GPUs: sweeps, resampling on the host, sums, and configurations that move.
    pub fn temperature(&self, cluster: &Cluster, gpus: usize) -> [f64; 4] {
        let n = gpus as f64;
        let own = self.members / n;
        let sweeps = (own * self.spins * self.sweeps / self.rate).max(2.0 * self.sweeps * LAUNCH) + GRAPH;
        let host = own * (self.host + 8.0 / HOST);
        let sums = 2.0 * cluster.all_gather(gpus, (self.sums[0] + self.sums[1] / n) / 2.0);
        let bytes = self.moved * self.members.sqrt() * (self.spins / 8.0 + 9.0);
        let moves = cluster.all_gather(gpus, 8.0 * n) + cluster.neighbours(gpus, bytes);
        [sweeps, host, sums, if gpus > 1 { moves } else { 0.0 }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn much_goes_at_the_speed_of_the_ring() {
        let bytes = 1e11;
        let eight = Cluster::NVLINK.all_reduce(8, bytes);
        assert!((eight / (1.75 * bytes / 370e9) - 1.0).abs() < 1e-3, "{eight}");
        let sixteen = Cluster::ETHERNET.all_reduce(16, bytes);
        assert!((sixteen / (1.875 * bytes / (12.5e9 * REACHED)) - 1.0).abs() < 1e-3, "{sixteen}");
    }

    #[test]
    fn little_is_latency_and_one_gpu_waits_for_nobody() {
        for cluster in Cluster::ALL {
            assert_eq!((cluster.all_reduce(1, 1e9), cluster.all_gather(1, 1e9)), (0.0, 0.0));
            let few = cluster.all_reduce(1024, 8.0);
            // Seven levels of a tree there and back, not two thousand steps of a ring.
            assert!((7e-5..6e-4).contains(&few), "{few}");
            let alone = Training::SMALL.step(&cluster, 1, 64.0, false);
            assert!(
                (alone.efficiency, alone.waits) == (1.0, 0.0) && (alone.seconds - 9.67e-3).abs() < 1e-4,
                "{alone:?}"
            );
        }
    }

    #[test]
    fn what_every_gpu_does_again_is_no_gain() {
        for training in [Training::STABLE_DIFFUSION, Training::SMALL] {
            for gpus in [1, 8, 128] {
                let [one, step] = [1, gpus].map(|gpus| training.step_of_all(&Cluster::NVLINK, gpus));
                assert!((step.efficiency - one.seconds / (gpus as f64 * step.seconds)).abs() < 1e-12, "{step:?}");
                assert!(gpus == 1 || step.efficiency < 1.0, "{step:?}");
            }
        }
    }

    #[test]
    fn more_gpus_never_make_a_step_of_as_much_each_faster() {
        for training in [Training::STABLE_DIFFUSION, Training::SMALL] {
            for cluster in Cluster::ALL {
                let steps: Vec<f64> =
                    (0..11).map(|k| training.step(&cluster, 1 << k, training.batch, false).seconds).collect();
                assert!(steps.windows(2).all(|pair| pair[0] <= pair[1] * (1.0 + 1e-12)), "{steps:?}");
            }
        }
    }
}
