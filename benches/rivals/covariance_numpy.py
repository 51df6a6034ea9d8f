"""Covariance of 10,000 maps of 6144 numbers and its 150 leading eigenvalues by numpy and scipy.

OMP_NUM_THREADS=2 python benches/rivals/covariance_numpy.py
"""

import time

import numpy as np
from scipy.linalg import eigh
from scipy.sparse.linalg import eigsh

n, p = 10_000, 6144
rng = np.random.default_rng(1)
# Variances that fall as those of the exact ensemble do.
maps = rng.standard_normal((n, p)) / (1.0 + np.arange(p) / 20.0) ** 0.75
clock = time.perf_counter


def timed(name, work, rounds):
    best = np.inf
    for _ in range(rounds):
        start = clock()
        result = work()
        best = min(best, clock() - start)
    print(f"{name}: {best:.2f} s")
    return result


covariance = timed("numpy.cov", lambda: np.cov(maps, rowvar=False), 2)
krylov = timed("scipy.sparse.linalg.eigsh, 150", lambda: eigsh(covariance, 150)[0][::-1], 2)
subset = timed(
    "scipy.linalg.eigh, subset of 150",
    lambda: eigh(covariance, subset_by_index=(p - 150, p - 1), driver="evr")[0][::-1],
    1,
)
assert np.allclose(krylov, subset, rtol=1e-9)
