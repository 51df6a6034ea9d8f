"""Times CMBSCAT (on HealpixML and TensorFlow), one batch of its emulator.

    python3 -m venv rival && rival/bin/pip install tensorflow healpixml cmbscat
    rival/bin/python benches/rivals/cmbscat.py maps.npy 20

The maps are Q and U in RING, `(maps, 2, pixels)`; the batch has as many. Repeats what the
rival prints on standard error; prints one JSON line: seconds until the descent began (its
own statistics of the inputs), seconds until the first loss (tracing of its graph), and
seconds a step, the median of the differences between later losses. `cargo xtask compare
evaluation` runs both sides.
"""

import json
import os
import re
import statistics
import sys
import tempfile
import time

del sys.path[0]  # Modules of this folder are named like the peers.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np  # noqa: E402


class Clock:
    """A stream that notes when a loss is printed."""

    def __init__(self):
        self.line = ""
        self.began = None
        self.losses = []  # (seconds, step)

    def write(self, text):
        sys.stderr.write(text)
        self.line += text
        while match := re.search(r"[\r\n]", self.line):
            self.note(self.line[: match.start()])
            self.line = self.line[match.end() :]
        return len(text)

    def note(self, line):
        if "Total number of loss" in line and self.began is None:
            self.began = time.perf_counter()
        if match := re.match(r"\s*Itt\s+(\d+)\s+L=", line):
            self.losses.append((time.perf_counter(), int(match[1])))

    def flush(self):
        sys.stderr.flush()

    def isatty(self):
        return False


def main():
    maps, steps = np.load(sys.argv[1]).astype(np.float64), int(sys.argv[2])
    count, channels, pixels = maps.shape
    assert channels == 2, "Q and U"
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        os.makedirs(f"{folder}/data")
        # The rival reads T, Q, U and uses the last two.
        np.save(f"{folder}/data/in.npy", np.concatenate([0 * maps[:, :1], maps], axis=1))
        os.chdir(folder)
        start = time.perf_counter()
        out, sys.stdout = sys.stdout, clock
        from cmbscat import cmbscat_pipe

        cmbscat_pipe(
            {
                "NNN": count,
                "gauss_real": False,
                "NGEN": count,
                "n_samples": 1,
                "nside": int((pixels / 12) ** 0.5),
                "NORIENT": 4,
                "nstep": steps,
                "KERNELSZ": 3,
                "outname": "rival",
                "outpath": "./data/",
                "data": "data/in.npy",
            }
        ).run()
        sys.stdout = out
    (first, _), *rest = clock.losses
    pairs = zip(clock.losses, rest)
    each = [(later - at) / (step - before) for (at, before), (later, step) in pairs]
    print(
        json.dumps(
            {
                "program": "cmbscat",
                "setup_s": clock.began - start,
                "tracing_s": first - clock.began,
                "step_s": statistics.median(each),
                "losses": len(clock.losses),
            }
        )
    )


main()
