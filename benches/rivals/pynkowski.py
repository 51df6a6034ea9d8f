"""SO(3) Minkowski functionals of one Q/U map by pynkowski, on one core.

OMP_NUM_THREADS=1 python benches/rivals/pynkowski.py
"""

import sys
import time

sys.path.pop(0)  # This file is named as the module that it imports.

import healpy as hp
import numpy as np
import pynkowski as mf

thresholds = np.linspace(-3, 3, 31)
for nside in (16, 64):
    lmax = 3 * nside - 1
    ell = np.arange(lmax + 1)
    cl = np.where(ell > 1, 1.0 / np.maximum(ell, 1) ** 2, 0.0)
    np.random.seed(1)
    _, q, u = hp.synfast([0 * cl, cl, cl, 0 * cl], nside, lmax=lmax, new=True)
    best = np.inf
    for _ in range(5 if nside == 16 else 3):
        start = time.perf_counter()
        field = mf.SO3Healpix(q.copy(), u.copy())
        found = [v(field, thresholds, verbose=False) for v in (mf.V0, mf.V1, mf.V2, mf.V3)]
        best = min(best, time.perf_counter() - start)
    # V0 is a share of the volume: all of it far below, none far above, half at zero.
    assert found[0][0] > 0.98 and found[0][-1] < 0.02 and abs(found[0][15] - 0.5) < 1e-12
    print(f"Nside {nside}: {1e3 * best:.1f} ms a map")
