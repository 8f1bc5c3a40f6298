"""SciPy's intervals, for tests/scipy.rs of foretaste-eval.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt && venv/bin/python reference.py

It writes reference.json beside this script, the same bytes every time.

student_t   values, and their mean with the ends of the 95% interval (scipy.stats.ttest_1samp)
paired      a and b, and the mean difference, its interval and p-value (scipy.stats.ttest_rel)
bootstrap   values with the percentile interval of resampled means (scipy.stats.bootstrap):
            of two values alone, whose resampled means lie on a lattice: `low` and `high`, which any
            draws give (`margin`: how far the tails at these ends are from 2.5%, in standard
            deviations of a share of the resamples); of any values: means and standard deviations of
            both ends over runs of `resamples`
sessions    sums and numbers of rows of sessions, and the same of sum(sums) / sum(rows) of resampled
            sessions
"""

import json
import sys
from pathlib import Path

import numpy as np
import scipy
from scipy import stats

FILE = Path(__file__).parent / "reference.json"
# Those of sessions are as many as foretaste-eval draws.
OF_LATTICE, OF_VALUES, OF_SESSIONS, RUNS = 100_000, 10_000, 1_000, 100
# Ones of so many values.
LATTICES = (8, 20), (3, 20), (20, 60)


def student_t(values):
    found = stats.ttest_1samp(values, 0)
    interval = found.confidence_interval(0.95)
    return {"values": values, "mean": np.mean(values), "low": interval.low, "high": interval.high}


def paired(a, b):
    found = stats.ttest_rel(a, b)
    interval = found.confidence_interval(0.95)
    ends = {"low": interval.low, "high": interval.high}
    return {"a": a, "b": b, "mean": np.mean(np.subtract(a, b)), **ends, "p": found.pvalue}


def interval(columns, statistic, resamples, seed):
    found = stats.bootstrap(
        columns,
        statistic,
        n_resamples=resamples,
        paired=True,
        vectorized=True,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return found.confidence_interval


def lattice(values):
    """All values are 0 or 1, so that a resampled mean is k / n with k binomial."""
    found = interval((values,), lambda x, axis: np.mean(x, axis=axis), OF_LATTICE, 0)
    n = len(values)
    law = stats.binom(n, np.mean(values))
    low, high = round(found.low * n), round(found.high * n)
    tails = [law.cdf(low - 1), law.cdf(low), law.sf(high), law.sf(high - 1)]
    distance = lambda tail: abs(tail - 0.025) / np.sqrt(tail * (1 - tail) / OF_LATTICE)
    margin = min(distance(tail) for tail in tails if tail > 0)
    ends = {"low": found.low, "high": found.high, "margin": margin}
    return {"values": values, "resamples": OF_LATTICE, **ends}


def ends(columns, statistic, resamples):
    found = np.array([list(interval(columns, statistic, resamples, seed)) for seed in range(RUNS)])
    (low, high), (low_sd, high_sd) = found.mean(axis=0), found.std(axis=0, ddof=1)
    spread = {"low_sd": low_sd, "high_sd": high_sd}
    return {"resamples": resamples, "low": low, "high": high, **spread}


def bootstrap(values):
    return {"values": values, **ends((values,), lambda x, axis: np.mean(x, axis=axis), OF_VALUES)}


def sessions(sums, rows):
    def ratio(sums, rows, axis):
        return np.sum(sums, axis=axis) / np.sum(rows, axis=axis)

    return {"sums": sums, "rows": rows, **ends((sums, rows), ratio, OF_SESSIONS)}


def main():
    draws = np.random.default_rng(1)
    rounded = lambda values: np.round(values, 6).tolist()
    groups = [rounded(draws.normal(3, 2, n)) for n in (2, 3, 5, 20, 200)]
    a, b = (rounded(draws.gamma(2, size=12)) for _ in range(2))
    rows = draws.integers(1, 9, 60)
    python = sys.version.split()[0]
    figures = {
        "versions": {"scipy": scipy.__version__, "numpy": np.__version__, "python": python},
        "student_t": [student_t(values) for values in groups],
        "paired": paired(a, b),
        "lattice": [lattice([1] * ones + [0] * (n - ones)) for ones, n in LATTICES],
        "bootstrap": [bootstrap(rounded(draws.lognormal(0, 1, n))) for n in (8, 40, 300)],
        "sessions": sessions(rounded(draws.gamma(1.5, size=60) * rows), rows.tolist()),
    }
    FILE.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
