"""Golden values of the judge: numpy, scipy and scikit-learn on two small sets of maps.

Run from the root of the repository: python tests/golden/validation.py
"""

import numpy as np
from scipy.spatial.distance import cdist
from scipy.stats import energy_distance, ks_2samp, kurtosis, mannwhitneyu
from sklearn.covariance import ledoit_wolf
from sklearn.decomposition import PCA

rng = np.random.default_rng(20261121)
p = 30
mixing = rng.standard_normal((p, p)) * np.exp(-np.arange(p) / 6.0) + 0.05 * np.eye(p)
truth = mixing @ mixing.T
out = {"truth": truth}
for name, n in (("many", 90), ("few", 12)):
    maps = rng.standard_normal((n, p)) @ mixing.T + 3.0
    out[name] = maps
    out[f"{name}_mean"] = maps.mean(axis=0)
    covariance = np.cov(maps.T)
    out[f"{name}_covariance"] = covariance
    k = min(n - 1, 10)
    pca = PCA(k, svd_solver="full").fit(maps)
    out[f"{name}_eigenvalues"] = pca.explained_variance_
    # chi2 of centred vectors, without the sign of the vectors.
    probes = rng.standard_normal((5, p)) @ mixing.T
    out[f"{name}_probes"] = probes
    amplitudes = probes @ pca.components_.T
    out[f"{name}_chi2"] = (amplitudes**2 / pca.explained_variance_).mean(axis=1)
    shrunk, intensity = ledoit_wolf(maps)
    out[f"{name}_ledoit_wolf"] = shrunk
    out[f"{name}_intensity"] = intensity
    scale = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    reference = truth / np.sqrt(np.outer(np.diag(truth), np.diag(truth)))
    off = ~np.eye(p, dtype=bool)
    error = np.linalg.norm((covariance / scale - reference)[off])
    out[f"{name}_correlation_error"] = error / np.linalg.norm(reference[off])
    out[f"{name}_log_variance"] = np.sqrt(np.mean(np.log(np.diag(covariance) / np.diag(truth)) ** 2))

values, vectors = np.linalg.eigh(truth)
values, vectors = values[::-1][:8], vectors[:, ::-1][:, :8]
white = vectors / np.sqrt(values)
seen = white.T @ out["many_covariance"] @ white
sign, logdet = np.linalg.slogdet(seen)
out["stein"] = np.trace(seen) - logdet - 8
out["kl_to_reference"] = 0.5 * (np.trace(np.linalg.inv(seen)) + logdet - 8)

a, b = rng.standard_normal((60, 3)), 1.2 * rng.standard_normal((45, 3)) + 0.3
out["a"], out["b"] = a, b
ks = ks_2samp(a[:, 0], b[:, 0], method="exact")
out["ks"] = [ks.statistic, ks.pvalue]
rank = mannwhitneyu(a[:, 0], b[:, 0], alternative="greater", method="asymptotic", use_continuity=False)
out["rank"] = [rank.statistic, rank.pvalue]
out["energy_1d"] = energy_distance(a[:, 0], b[:, 0]) ** 2
out["energy"] = 2 * cdist(a, b).mean() - cdist(a, a).mean() - cdist(b, b).mean()
out["table"] = [out["many"].std(axis=0, ddof=1), kurtosis(out["many"], axis=0, fisher=False)]
np.savez_compressed("tests/golden/validation.npz", **out)
