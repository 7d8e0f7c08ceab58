"""Undersample a simulated 8-coil acquisition, reconstruct it twice and compare: the whole way in thirty lines.

python examples/reconstruct_from_python.py
"""

import numpy as np

from napari_lossguide import reconstruct
from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.masks import achieved_acceleration, make_mask
from napari_lossguide.recon.metrics import evaluate


def main(n: int = 128, steps: int = 30) -> dict[str, dict[str, float]]:
    """Reconstruct an n x n phantom and return the metrics of each method."""
    image = shepp_logan(n)
    scan = simulate(image, n_coils=8, noise_std=0.01, seed=0)
    mask = make_mask("equispaced", image.shape, acceleration=4, center_fraction=0.08, seed=0)
    print(f"simulation: {scan.n_coils} coils, acceleration {achieved_acceleration(mask):.2f}")

    scores = {}
    for method in ("zero-filled", "l1-wavelet", "prox-mean"):
        result = reconstruct(scan, mask, method=method, steps=steps)
        scores[method] = evaluate(image[None], np.abs(result.image))
        figures = ", ".join(f"{name} {value:.3f}" for name, value in scores[method].items())
        print(f"{method:12} {figures}, residual {result.residual:.2f}, {result.seconds:.1f} s")
    return scores


if __name__ == "__main__":
    main()
