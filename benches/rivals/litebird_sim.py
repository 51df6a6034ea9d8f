"""Times litebird_sim on the scan of the preset `campeti2025`, one map.

    python3 -m venv rival && rival/bin/pip install litebird-sim
    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 rival/bin/python benches/rivals/litebird_sim.py 1 10

For each length in days: pointings, dipole, gains and binned map at Nside 128 of four
detectors, by the peer's public API, and the same for ours if the example is built
(`cargo build --release -p skyscat-sim --example year`). The peer runs once before it is
timed, so that nothing is compiled in the measurement. CPU seconds are those of the whole
process; a year is extrapolated from the difference of two lengths.
"""

import os
import pathlib
import resource
import subprocess
import sys
import time

# This file has the name of the package: do not import it in its place.
del sys.path[0]

import litebird_sim as lbs  # noqa: E402
import numpy as np  # noqa: E402
from astropy.time import Time  # noqa: E402

CHUNK = 100_000
ANGLES_DEG = [0.0, 90.0, 45.0, 135.0]


def cpu_seconds(who=resource.RUSAGE_SELF):
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def one_map(days, seed=1):
    """One map of (1 + g) d: hits of the sky and rms of Q, as a check of the work."""
    sim = lbs.Simulation(
        random_seed=seed,
        start_time=Time("2027-01-01", scale="tdb"),
        duration_s=days * 86_400.0,
        imo=lbs.Imo(flatfile_location=lbs.PTEP_IMO_LOCATION),
        profile_time=False,
    )
    sim.set_scanning_strategy(
        lbs.SpinningScanningStrategy(
            spin_sun_angle_rad=np.radians(7.5),
            precession_rate_hz=1.0 / (182.625 * 86_400.0),
            spin_rate_hz=1.0 / 60.0,
            start_time=sim.start_time,
        ),
        append_to_report=False,
    )
    sim.set_instrument(lbs.InstrumentInfo(name="four", spin_boresight_angle_rad=np.radians(85.0)))
    detectors = [
        lbs.DetectorInfo(
            name=f"{angle:g}",
            sampling_rate_hz=7.0,
            bandcenter_ghz=100.0,
            net_ukrts=1.0,
            quat=lbs.RotQuaternion(
                quats=np.array([[0.0, 0.0, np.sin(a / 2), np.cos(a / 2)]])
            ),
        )
        for angle in ANGLES_DEG
        for a in [np.radians(angle)]
    ]
    tod = lbs.TodDescription(name="tod", units=lbs.Units.K_CMB, dtype=np.float64, description="d")
    sim.create_observations(detectors=detectors, tods=[tod])
    sim.prepare_pointings(append_to_report=False)
    sim.compute_pos_and_vel()
    sim.add_dipole(append_to_report=False)
    draw = np.random.default_rng(seed)
    for obs in sim.observations:
        for start in range(0, obs.tod.shape[1], CHUNK):
            gain = 1e-4 * draw.standard_normal((len(detectors), 1))
            obs.tod[:, start : start + CHUNK] *= 1.0 + gain
    result = sim.make_binned_map(
        nside=128,
        output_coordinate_system=lbs.CoordinateSystem.Galactic,
        append_to_report=False,
    )
    t, q = np.asarray(result.binned_map)[:2]
    seen = np.isfinite(t) & (t > -1e29) & (t != 0.0)
    return seen.mean(), q[seen].std()


def ours(days):
    """CPU seconds of the line `one map, full path`, on one thread."""
    example = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target"))
    example = example / "release" / "examples" / "time"
    if not example.exists():
        return None
    text = subprocess.run([example, str(days), "1"], capture_output=True, text=True, check=True)
    line = next(x for x in text.stdout.splitlines() if x.startswith("one map"))
    return float(line.split(" s ")[0].split()[-1])


def main():
    lengths = [float(x) for x in sys.argv[1:]] or [1.0, 10.0]
    print(f"litebird_sim {lbs.__version__}")
    one_map(0.1)
    times = []
    for days in lengths:
        cpu, wall = cpu_seconds(), time.perf_counter()
        sky, rms = one_map(days)
        cpu, wall = cpu_seconds() - cpu, time.perf_counter() - wall
        assert sky > 0.005 and 1e-9 < rms < 1e-6, (sky, rms)
        times.append(cpu)
        own = ours(days)
        beside = "" if own is None else f", ours {own:.3f} s on one thread: {cpu / own:.0f} times"
        print(f"{days:g} days: {cpu:.2f} CPU s, {wall:.2f} s wall{beside}")
    if len(lengths) > 1:
        rate = (times[-1] - times[0]) / (lengths[-1] - lengths[0])
        print(f"extrapolated to 365 days: {times[0] + rate * (365.0 - lengths[0]):.0f} CPU s")


if __name__ == "__main__":
    main()
