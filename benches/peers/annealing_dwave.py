"""Times the simulated annealer of dwave-samplers on the instances of `benches/src/bin/annealing.rs`.

    pip install dwave-samplers
    python annealing_dwave.py [lattice|glass] [READS] [ROUNDS]

Processor seconds of one thread, the best of several rounds, beside

    cargo run --release --package yuragi-benches --bin annealing -- lattice
"""

import math
import sys
import time

import dimod
from dwave.samplers import SimulatedAnnealingSampler

from annealing_instances import glass, lattice


def main():
    which = sys.argv[1] if len(sys.argv) > 1 else "lattice"
    reads = int(sys.argv[2]) if len(sys.argv) > 2 else 16
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    variables, couplings, betas = glass() if which == "glass" else lattice()
    # E = -sum J s s here, +sum J s s there.
    model = dimod.BinaryQuadraticModel({}, {pair: -weight for pair, weight in couplings.items()}, "SPIN")
    sampler, best, energies = SimulatedAnnealingSampler(), math.inf, []
    for seed in range(rounds):
        start = time.process_time()
        # Its schedule has one beta a sweep: num_sweeps sweeps, evenly spaced.
        answer = sampler.sample(
            model, num_reads=reads, num_sweeps=1000, beta_range=betas, beta_schedule_type="linear", seed=seed
        )
        best = min(best, time.process_time() - start)
        energies = [float(energy) for energy in answer.record.energy]
    mean = sum(energies) / len(energies)
    print(f"dwave-samplers {which}: {reads} reads, {reads * 1000 * variables / best / 1e6:.1f} M updates/s, mean energy {mean:.3f}")


main()
