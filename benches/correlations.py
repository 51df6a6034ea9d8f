"""Correlations that maps have of the exact ones, without the noise of their number.

    python benches/correlations.py COVARIANCE.npy BATCH MAPS.npy...

Prints <R, R_exact>/|R_exact|^2 and |R - R_exact|/|R_exact| off the diagonal, where |R|^2
is the product of the two halves of the maps, cut between batches of BATCH maps.
"""
import sys

import numpy as np


def correlations(x):
    r = x.T @ x / len(x)
    np.fill_diagonal(r, 0.0)
    return r


covariance, batch = np.load(sys.argv[1]), int(sys.argv[2])
scale = np.sqrt(np.diag(covariance))
exact = covariance / scale[:, None] / scale
np.fill_diagonal(exact, 0.0)
norm = (exact**2).sum()
for name in sys.argv[3:]:
    maps = np.load(name).astype(float)
    maps = maps.reshape(len(maps), -1)
    maps = (maps - maps.mean(0)) / maps.std(0)
    half = len(maps) // batch // 2 * batch
    first, second = correlations(maps[:half]), correlations(maps[half:])
    captured = ((first + second) / 2 * exact).sum() / norm
    square = (first * second).sum() / norm
    error = np.sqrt(max(0.0, square - 2 * captured + 1))
    print(f"{name}: captured {captured:.3f}, error {error:.3f}")
