"""vCache's published decision rule (arXiv 2502.03771), written from its formulas."""
import math
import random
from statistics import NormalDist

import numpy as np

from cache_streams import Outcome

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
    stored = np.zeros(len(stream.texts), bool)
    hits = wrong = 0
    for i, label in enumerate(stream.labels):
        near = stream.neighbours[i][stream.cosines[i] > -1]
        place = np.nonzero(stored[near])[0]
        if len(place) == 0:
            stored[i] = True
            continue
        n = int(near[place[0]])
        s = float(stream.cosines[i][place[0]])
        seen = observations.setdefault(n, [(0.0, 0), (1.0, 1)])
        right = int(stream.labels[n] == label)
        if len(seen) >= EXPLORE_BELOW and rng.random() > tau(s, seen, delta):
            hits += 1
            wrong += 1 - right
            continue
        seen.append((round(s, 3), right))
        if not right:
            stored[i] = True
    return Outcome(len(stream.texts), hits, wrong)
