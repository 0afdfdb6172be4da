"""Published instances by `yuragi anneal` as it comes, and by the simulated annealer of dwave-samplers with as many reads.

    pip install dwave-samplers
    python published_dwave.py PROGRAM FILE [FILE ...]

Files are max-cut (a line `variables edges`, then `i j weight`) or Beasley's quadratic programs (.qubo, maximised). For each:
the best value, processor seconds and seconds of both, one after the other.
"""

import json
import os
import resource
import subprocess
import sys
import time

import dimod
from dwave.samplers import SimulatedAnnealingSampler


def lines(path):
    with open(path) as file:
        for line in file:
            if line.strip() and not line.startswith(("c", "#", "p")):
                yield [float(word) for word in line.split()]


def load(path):
    """The model to minimise, and what turns its energy into the instance's own value."""
    rows = lines(path)
    if path.endswith(".qubo"):
        model = dimod.BinaryQuadraticModel("BINARY")
        for i, j, weight in rows:
            i, j = int(i), int(j)
            if i == j:
                model.add_linear(i, -weight)
            else:
                model.add_quadratic(i, j, -weight)
        return model, lambda energy: -energy
    next(rows)
    model, total = dimod.BinaryQuadraticModel("SPIN"), 0.0
    for row in rows:
        weight = row[2] if len(row) > 2 else 1.0
        model.add_quadratic(int(row[0]), int(row[1]), weight)
        total += weight
    return model, lambda energy: (total - energy) / 2


def main():
    program, *files = sys.argv[1:]
    print("| file | reads | yuragi | processor s | s | dwave-samplers | processor s | s |")
    print("|---|---|---|---|---|---|---|---|")
    for path in files:
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime, time.perf_counter()
        text = subprocess.run([program, "anneal", path, "--json"], check=True, capture_output=True, text=True).stdout
        wall = time.perf_counter() - start
        own = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
        found = json.loads(text)
        reads = found["reads"] if isinstance(found.get("reads"), int) else 256
        best = found["objective"]["best"] if isinstance(found.get("objective"), dict) else found.get("best", "?")
        model, value = load(path)
        before, start = time.process_time(), time.perf_counter()
        samples = SimulatedAnnealingSampler().sample(model, num_reads=reads, seed=1)
        theirs, wall2 = time.process_time() - before, time.perf_counter() - start
        print(
            f"| {os.path.basename(path)} | {reads} | {best} | {own:.2f} | {wall:.2f} "
            f"| {value(samples.first.energy):g} | {theirs:.2f} | {wall2:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
