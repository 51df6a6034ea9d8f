"""Times ducc0.sht on HEALPix rings, in the shape of `cargo run --example time`.

    python3 -m venv rival && rival/bin/pip install ducc0
    rival/bin/python benches/rivals/ducc.py nside=16 spin=2 batch=8 threads=1 precision=f64

Prints one JSON line: least milliseconds a map of synthesis and of its adjoint, how far the
two are from being adjoint, and field values at a few pixels. `truth=yes` prints instead the
values at these pixels by recurrences in 80-bit floating point. `cargo xtask compare
transforms` runs both sides in turn.
"""

import json
import sys
import time

del sys.path[0]  # Modules of this folder are named like the peers.

import numpy as np  # noqa: E402


def uniform(count):
    """Numbers in [-1, 1) that every program can make to the last bit."""
    x = (np.arange(count, dtype=np.uint64) * 2654435761) & 0xFFFFFFFF
    x ^= x >> np.uint64(15)
    x = (x * 2246822519) & 0xFFFFFFFF
    x ^= x >> np.uint64(13)
    return x / 2.0**31 - 1.0


def coefficients(batch, components, lmax):
    """a_lm of all maps, `(batch, components, modes)`, real at m = 0."""
    modes = (lmax + 1) * (lmax + 2) // 2
    parts = uniform(batch * components * modes * 2).reshape(batch, components, modes, 2)
    alm = parts[..., 0] + 1j * parts[..., 1]
    alm[..., : lmax + 1].imag = 0.0
    return alm


def geometry(nside):
    """First pixel, pixels and longitude of the first pixel (in units of pi) of each ring."""
    rings = np.arange(1, 4 * nside)
    near = np.minimum(rings, 4 * nside - rings)
    nphi = 4 * np.minimum(near, nside)
    shifted = (near < nside) | ((rings - nside) % 2 == 0)
    return np.concatenate([[0], np.cumsum(nphi)[:-1]]), nphi, np.where(shifted, 1.0 / nphi, 0.0)


def sampled(nside):
    """(ring, pixel in the ring) of the values that are compared, rings from 0."""
    _, nphi, _ = geometry(nside)
    rings = [0, 1, nside // 4, nside // 2, nside - 1, 3 * nside // 2, 2 * nside - 1]
    rings += [5 * nside // 2, 4 * nside - 2]
    return [(r, p) for r in rings for p in (0, int(nphi[r]) // 3)]


def lambdas(nside, ring, spin, lmax):
    """Yields l and lambda^+, lambda^- of all m <= lmax, in long double."""
    ld = np.longdouble
    near = min(ring + 1, 4 * nside - 1 - ring)
    if near < nside:
        t = ld(near) ** 2 / (3 * ld(nside) ** 2)
    else:
        t = 1 - (ld(4) / 3 - 2 * ld(near) / (3 * ld(nside)))
    up = 2 - t
    sine = np.sqrt(t * up)
    if ring + 1 > 2 * nside:
        t, up = up, t
    x = (up - t) / 2
    m = np.arange(lmax + 1).astype(ld)
    pi = 4 * np.arctan(ld(1))
    now = [np.zeros(lmax + 1, ld), np.zeros(lmax + 1, ld)]
    before = [np.zeros(lmax + 1, ld), np.zeros(lmax + 1, ld)]
    # sqrt(C(2j, j)/4^j) sin^j, j = 0..lmax.
    steps = np.sqrt((2 * m[1:] - 1) / (2 * m[1:])) * sine
    start = np.concatenate([[ld(1)], np.cumprod(steps)])
    for l in range(spin, lmax + 1):
        for which, sign in ((0, -1), (1, 1)):
            q = sign * spin
            new = np.zeros(lmax + 1, ld)
            known = np.arange(lmax + 1) < l if l > spin else np.zeros(lmax + 1, bool)
            if known.any():
                # From l - 1 to l; spec of the three-term recurrence of d^l_{m,q}.
                k, mm = ld(l - 1), m[known]
                d = np.sqrt((l * l - mm * mm) * (ld(l) * l - q * q))
                c = (2 * k + 1) * (x * k * (k + 1) - mm * q) if k > 0 else x * np.ones_like(mm)
                b = (k + 1) * np.sqrt(np.abs((k * k - mm * mm) * (k * k - q * q)))
                scale = k * d if k > 0 else d
                new[known] = (c * now[which][known] - b * before[which][known]) / scale
            # Starts at j = max(m, s) = l.
            for mm in [l] if l > spin else range(spin + 1):
                first, second, factor = mm, q, 1
                if mm < spin:  # d_{m,q} = (-1)^{m-q} d_{q,m} = d_{-q,-m}
                    first, second = spin, -mm
                    if q > 0:
                        second, factor = mm, (-1) ** (mm - q)
                value = start[l] * factor * (-1) ** (first - second)
                for i in range(1, abs(second) + 1):
                    value *= np.sqrt(ld(l + 1 - i) / ld(l + i))
                    value *= (up if second > 0 else t) / sine
                new[mm] = value
            before[which], now[which] = now[which], new
        norm = np.sqrt((2 * l + 1) / (4 * pi))
        yield l, norm * now[0], norm * now[1]


def truth(nside, spin, lmax):
    """Field values at the sampled pixels, `[sample][component]`."""
    components = 1 if spin == 0 else 2
    alm = coefficients(1, components, lmax)[0].astype(np.clongdouble)
    first = np.array([m * (2 * lmax + 1 - m) // 2 for m in range(lmax + 1)])
    _, nphi, phi0 = geometry(nside)
    pi = 4 * np.arctan(np.longdouble(1))
    out, rows = [], {}
    for ring, pixel in sampled(nside):
        if ring not in rows:
            f = np.zeros((components, lmax + 1), np.clongdouble)
            for l, plus, minus in lambdas(nside, ring, spin, lmax):
                a = alm[:, first[: l + 1] + l]
                p, q = plus[: l + 1], minus[: l + 1]
                if spin == 0:
                    f[0, : l + 1] += a[0] * p
                    continue
                minus_sign = -1 if spin % 2 else 1
                w, i_x = -(minus_sign * p + q) / 2, -1j * (minus_sign * p - q) / 2
                f[0, : l + 1] += a[0] * w + a[1] * i_x
                f[1, : l + 1] += a[1] * w - a[0] * i_x
            rows[ring] = f
        turn = 2 * np.longdouble(pixel) / int(nphi[ring])
        turn += (1 / np.longdouble(int(nphi[ring]))) if phi0[ring] else 0
        angle = np.fmod(np.arange(lmax + 1) * turn, 2) * pi
        weight = np.where(np.arange(lmax + 1) == 0, 1, 2)
        field = (rows[ring] * (weight * (np.cos(angle) + 1j * np.sin(angle)))).sum(1).real
        out.append([float(v) for v in field])
    return out


def least(budget, work):
    """Least milliseconds of three runs or more, up to `budget` seconds."""
    best, spent, runs = np.inf, 0.0, 0
    while runs < 3 or spent < budget:
        start = time.perf_counter()
        work()
        took = time.perf_counter() - start
        best, spent, runs = min(best, took), spent + took, runs + 1
    return 1e3 * best


def main():
    options = dict(word.split("=") for word in sys.argv[1:])
    nside, spin = int(options["nside"]), int(options["spin"])
    lmax, components = 3 * nside - 1, 1 if spin == 0 else 2
    if options.get("truth") == "yes":
        print(json.dumps({"program": "longdouble", "sample": truth(nside, spin, lmax)}))
        return
    import ducc0

    batch, threads = int(options.get("batch", 1)), int(options.get("threads", 1))
    single = options.get("precision", "f64") == "f32"
    info = ducc0.healpix.Healpix_Base(nside, "RING").sht_info()
    common = dict(**info, lmax=lmax, spin=spin, nthreads=threads)
    alm = coefficients(batch, components, lmax).astype(np.complex64 if single else complex)
    map = ducc0.sht.synthesis(alm=alm, **common)
    back = ducc0.sht.adjoint_synthesis(map=map, **common)
    weight = np.full(alm.shape[-1], 2.0)
    weight[: lmax + 1] = 1.0
    left = (map.astype(float) ** 2).sum()
    right = (weight * (alm * back.conj()).real).sum()
    budget = float(options.get("budget", 0.3))
    result = {
        "program": f"ducc0 {ducc0.__version__}",
        "nside": nside,
        "lmax": lmax,
        "spin": spin,
        "batch": batch,
        "threads": threads,
        "precision": "f32" if single else "f64",
        "synthesis_ms": least(budget, lambda: ducc0.sht.synthesis(alm=alm, map=map, **common)) / batch,
        "adjoint_ms": least(budget, lambda: ducc0.sht.adjoint_synthesis(map=map, alm=back, **common)) / batch,
        "adjointness": abs(left / right - 1),
        "sample": [
            [float(map[0, c, info["ringstart"][r] + np.uint64(p)]) for c in range(components)]
            for r, p in sampled(nside)
        ],
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
