"""Times OpenJij's simulated annealer on the instances of `benches/src/bin/annealing.rs`.

    pip install openjij
    python annealing_openjij.py [lattice|glass] [READS] [ROUNDS]

Processor seconds of one thread, the best of several rounds, beside

    cargo run --release --package yuragi-benches --bin annealing -- glass
"""

import math
import sys
import time

import openjij

from annealing_instances import glass, lattice


def main():
    which = sys.argv[1] if len(sys.argv) > 1 else "glass"
    reads = int(sys.argv[2]) if len(sys.argv) > 2 else 4
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    variables, couplings, betas = glass() if which == "glass" else lattice()
    # E = -sum J s s here, +sum J s s there.
    couplings = {pair: -weight for pair, weight in couplings.items()}
    sampler, best, energies = openjij.SASampler(), math.inf, []
    for seed in range(rounds):
        # Its own figure: microseconds a read of the annealing alone, without the making of the model.
        answer = sampler.sample_ising(
            {}, couplings, num_reads=reads, num_sweeps=1000, beta_min=betas[0], beta_max=betas[1], seed=seed
        )
        times = answer.info["list_exec_times"]
        best = min(best, min(times) * 1e-6)
        energies = [float(energy) for energy in answer.record.energy]
    mean = sum(energies) / len(energies)
    print(f"openjij {which}: {reads} reads, {1000 * variables / best / 1e6:.1f} M updates/s, mean energy {mean:.3f}")


main()
