"""Writes `tests/vectors/geometry.safetensors`: geometry of hidden states by NumPy, in float64.

    python geometry.py

Names are `<case>/<tensor>`. States are rounded to float32 before anything is computed from them. The spectrum and
the principal axes are those of the states' singular value decomposition; the mean cosine is taken pair by pair.
Neither is how the library does it.
"""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

FILE = Path(__file__).parents[1] / "vectors/geometry.safetensors"
Array = np.ndarray

RANDOM = np.random.default_rng(0)


def random(*shape: int) -> Array:
    """Standard normal."""
    return RANDOM.standard_normal(shape)


def cases() -> dict[str, Array]:
    """States `[n, width]`; directions of unequal variance, so that the axes are well determined."""
    scales = 0.8 ** np.arange(12)
    many = random(70, 12) * scales
    zero = random(20, 8) * scales[:8]
    zero[7] = 0
    direction = random(1, 10)
    return {
        "many": many,
        "few": random(7, 24) * 0.9 ** np.arange(24),
        "common_mean": 0.3 * random(50, 12) * scales + 4 * random(1, 12),
        "zero_state": zero,
        "collapsed": random(40, 1) * direction + 1e-3 * random(40, 10) * scales[:10],
        "equal": np.tile(random(1, 6), (5, 1)),
    }


def mean_cosine(states: Array) -> float:
    """Over all pairs of distinct states; a zero state is orthogonal to all."""
    norms = np.linalg.norm(states, axis=1)
    total, n = 0.0, len(states)
    for i in range(n):
        for j in range(n):
            if i != j and norms[i] * norms[j] > 0:
                total += states[i] @ states[j] / (norms[i] * norms[j])
    return total / (n * (n - 1))


def geometry(states: Array) -> dict[str, Array]:
    """What the library computes of states."""
    n, width = states.shape
    centered = states - states.mean(axis=0)
    _, singular, axes = np.linalg.svd(centered, full_matrices=False)
    spectrum = np.zeros(width)
    spectrum[: len(singular)] = singular**2 / (n - 1)
    # Of equal states, rounding alone is left.
    spectrum[spectrum < 1e-25] = 0
    shares = spectrum[spectrum > 0] / max(spectrum.sum(), np.finfo(float).tiny)
    return {
        "effective_rank": np.exp(-np.sum(shares * np.log(shares))),
        "mean_cosine": np.float64(mean_cosine(states)),
        "spectrum": spectrum,
        "projected": centered @ axes[:3].T,
    }


def main() -> None:
    tensors = {}
    for name, states in cases().items():
        states = states.astype(np.float32).astype(np.float64)
        found = {"states": states, **geometry(states)}
        tensors |= {f"{name}/{key}": np.ascontiguousarray(value) for key, value in found.items()}
        print(f"{name:<12} rank {found['effective_rank']:.4f} cosine {found['mean_cosine']:+.4f}")
    save_file(tensors, FILE)
    print(f"{FILE.name}: {len(tensors)} tensors, {FILE.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
