"""vCache's published decision rule (arXiv 2502.03771), written from its formulas."""
import math
import random
from statistics import NormalDist

import numpy as np

from cache_streams import Outcome, nearest

EXPLORE_BELOW = 6
# The variance of the threshold while an entry's observations are still separable, by their number.
SEPARABLE = [(6, .0354), (8, .0264), (10, .0194), (12, .0114), (15, .0093), (20, .0131), (26, .0084),
             (31, .0046), (40, .0052), (48, .0151)]
EPSILONS = np.linspace(1e-6, 1 - 1e-6, 50)
QUANTILES = np.array([NormalDist().inv_cdf(1 - e) for e in EPSILONS])


def sigmoid(x):
    return 1 / (1 + np.exp(-np.clip(x, -500, 500)))


def fit(s, c):
    """P(c=1|s) = sigmoid(b0 + b1 s) by Newton; the Hessian at the end."""
    b = np.zeros(2)
    x = np.c_[np.ones(len(s)), s]
    hessian = np.eye(2)
    for _ in range(12):
        p = sigmoid(x @ b)
        hessian = (x * (p * (1 - p))[:, None]).T @ x + 1e-9 * np.eye(2)
        b = b - np.linalg.solve(hessian, x.T @ (p - c))
        if np.abs(b).max() > 1e4:
            break
    return b, hessian


def tau(s, observations, delta):
    """The chance with which this request must be explored."""
    sims = np.array([o[0] for o in observations])
    right = np.array([o[1] for o in observations], float)
    separable = sims[right == 1].min() > sims[right == 0].max()
    if separable:
        # The likelihood has no maximum: the threshold lies in the gap, and the slope is steep.
        middle = (sims[right == 1].min() + sims[right == 0].max()) / 2
        gamma, t_hat = 100.0, middle
        variance = [v for n, v in SEPARABLE if len(observations) >= n][-1]
    else:
        b, hessian = fit(sims, right)
        gamma = max(b[1], 1e-6)
        t_hat = min(max(-b[0] / gamma, 0), 1)
        gradient = np.array([-1 / gamma, b[0] / gamma ** 2])
        variance = max(0.0, float(gradient @ np.linalg.inv(hessian) @ gradient))
    bound = np.clip(t_hat + QUANTILES * math.sqrt(variance), 0, 1)
    alpha = (1 - EPSILONS) * sigmoid(gamma * (s - bound))
    return float((1 - delta / np.maximum(1 - alpha, 1e-12)).min())


def run_vcache(stream, delta, seed):
    """A new prompt is stored only if the nearest answer was judged wrong; the judge is the label."""
    rng = random.Random(seed)
    observations = {}
    stored, asked, known = np.zeros((3, len(stream.texts)), bool)
    outcome = Outcome(len(stream.requests))
    for i in stream.requests:
        n, s = (i, 1.0) if known[i] else nearest(stream, stored, i, -1)
        if n is None:
            stored[i] = known[i] = True  # whatever is nearest is far, and its answer another
        elif n == i:
            outcome.note(True, not asked[i])  # the exact cache, which keeps every fresh answer
        else:
            seen = observations.setdefault(n, [(0.0, 0), (1.0, 1)])
            right = int(stream.labels[n] == stream.labels[i])
            if len(seen) >= EXPLORE_BELOW and rng.random() > tau(s, seen, delta):
                outcome.note(right, not asked[i])
            else:
                seen.append((round(s, 3), right))
                known[i] = True
                stored[i] = not right
        asked[i] = True
    return outcome
