"""The examples run, and do what they say."""

import runpy
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_reconstruct_from_python_beats_what_it_is_compared_with() -> None:
    main = runpy.run_path(str(EXAMPLES / "reconstruct_from_python.py"))["main"]
    scores = main()
    assert set(scores) == {"zero-filled", "l1-wavelet", "prox-mean"}
    assert scores["prox-mean"]["nmse"] < 0.2 * scores["zero-filled"]["nmse"]
    assert scores["prox-mean"]["nmse"] < 0.9 * scores["l1-wavelet"]["nmse"]
