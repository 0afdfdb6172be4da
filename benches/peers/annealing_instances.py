"""The instances that `benches/src/bin/annealing.rs` anneals: the same numbers from the same generator.

Each is (variables, {(k, l): J}, (first beta, last beta)), with E = -sum J s s.
"""

import math

MASK = 2**64 - 1


def uniforms(state=1):
    while True:
        state = (state * 6364136223846793005 + 1442695040888963407) & MASK
        yield (state >> 11) / 2**53


def lattice(side=64):
    """Periodic, J = +1 or -1: bond 2s goes from site s down, bond 2s + 1 to the right."""
    numbers, couplings = uniforms(), {}
    for site in range(side * side):
        row, column = divmod(site, side)
        for neighbour in [(row + 1) % side * side + column, row * side + (column + 1) % side]:
            couplings[site, neighbour] = 1.0 if next(numbers) < 0.5 else -1.0
    return side * side, couplings, (0.1, 3.0)


def glass(variables=1000):
    """All coupled, J nearly normal with variance 1/N."""
    numbers, couplings = uniforms(), {}
    for k in range(variables):
        for l in range(k + 1, variables):
            couplings[k, l] = (sum(next(numbers) for _ in range(12)) - 6) / math.sqrt(variables)
    return variables, couplings, (0.1, 5.0)
