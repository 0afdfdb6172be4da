"""Writes multivariate.rs: log-densities and entropies of scipy.stats.multivariate_normal.

    python crates/distributions/tests/golden/multivariate_scipy.py > crates/distributions/tests/golden/multivariate.rs

Made with SciPy 1.17.1.
"""

import numpy as np
from scipy.stats import multivariate_normal


def rust(values):
    return "&[" + ", ".join(repr(float(x)) for x in np.ravel(values)) + "]"


def main():
    rng = np.random.default_rng(5)
    print("//! Written by multivariate_scipy.py.\n")
    print("/// A Gaussian, points, and SciPy's values.")
    print("pub struct Case {")
    for name, kind in [
        ("mean", "&'static [f64]"),
        ("covariance", "&'static [f64]"),
        ("points", "&'static [f64]"),
        ("log_density", "&'static [f64]"),
        ("log_det", "f64"),
        ("entropy", "f64"),
    ]:
        print(f"    pub {name}: {kind},")
    print("}\n\n#[rustfmt::skip]\npub const CASES: &[Case] = &[")
    for d in [1, 2, 3, 5]:
        mean = rng.normal(size=d).round(2)
        a = rng.normal(size=(d, d)).round(1)
        covariance = (a @ a.T + 0.25 * np.eye(d)).round(4)
        q = multivariate_normal(mean, covariance)
        points = (mean + 2 * rng.normal(size=(4, d))).round(2)
        print("    Case {")
        print(f"        mean: {rust(mean)},")
        print(f"        covariance: {rust(covariance)},")
        print(f"        points: {rust(points)},")
        print(f"        log_density: {rust(q.logpdf(points))},")
        print(f"        log_det: {float(q.cov_object.log_pdet)!r},")
        print(f"        entropy: {float(q.entropy())!r},")
        print("    },")
    print("];")


main()
