"""The examples run, and do what they say."""

import runpy
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_reconstruct_from_python_beats_zero_filled() -> None:
    main = runpy.run_path(str(EXAMPLES / "reconstruct_from_python.py"))["main"]
    scores = main()
    assert set(scores) == {"zero-filled", "l1-wavelet", "prox-ddim"}
    assert scores["prox-ddim"]["nmse"] < 0.8 * scores["zero-filled"]["nmse"]
