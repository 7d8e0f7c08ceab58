"""``lossguide calibrate`` and ``lossguide coverage`` on results whose samples have a known law."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from shell import error_of, make_prior

from napari_lossguide.cli import main
from napari_lossguide.data.fourier import fft2c
from napari_lossguide.data.phantoms import shepp_logan
from napari_lossguide.data.writers import write_npz
from napari_lossguide.recon.recipe import Recipe

SIZE = 64


def make_result(folder: Path, name: str, seed: int, *, wrong: float = 0.3, status: str = "done", **fields) -> list[str]:
    """A result whose samples are `wrong` times as far apart as its error says, and its reference; their names."""
    rng = np.random.default_rng(seed)
    chosen = {"samples": 8, "image": "real", "prior_sha256": "a" * 64} | fields
    recipe = Recipe.for_method(chosen.pop("method", "prox-ddim"), **chosen)
    truth = (1 + rng.random((2, SIZE, SIZE))).astype(np.float32)
    centre = truth + 0.05 * rng.standard_normal(truth.shape)
    samples = centre[:, None] + wrong * 0.05 * rng.standard_normal((2, recipe.samples, SIZE, SIZE))
    mask = np.zeros((SIZE, SIZE), bool)
    mask[:, ::4] = True
    result, reference = str(folder / f"{name}.npz"), str(folder / f"{name}_true.npz")
    arrays = {"image": centre, "mask": mask, "maps": np.ones((2, 1, SIZE, SIZE)), "samples": samples}
    write_npz(result, arrays | {"recipe": recipe.to_json(), "facts": json.dumps({"status": status})})
    write_npz(reference, {"images": truth})
    return [result, "--reference", reference]


def figures(capsys: pytest.CaptureFixture[str], argv: list[str]) -> dict:
    assert main([*argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_calibration_mends_another_result(tmp_path, capsys):
    fitted, other = make_result(tmp_path, "fitted", 1), make_result(tmp_path, "other", 2)
    saved = str(tmp_path / "cal.json")
    assert main(["calibrate", *fitted, "-o", saved]) == 0
    assert "2 slices" in capsys.readouterr().out
    assert json.loads(Path(saved).read_text())["fitted_on"] == ["fitted.npz"]
    found = figures(capsys, ["coverage", *other, "--calibration", saved])
    assert found["nominal"]["coverage_90"] < 0.6
    assert found["calibrated"]["coverage_90"] == pytest.approx(0.9, abs=0.02)
    assert found["calibrated"]["coverage_50"] == pytest.approx(0.5, abs=0.03)
    assert found["samples"] == 8 and found["slices"] == 2 and found["note"] == ""


def test_coverage_in_words(tmp_path, capsys):
    assert main(["coverage", *make_result(tmp_path, "one", 1, method="prox-mean")]) == 0
    out = capsys.readouterr().out
    for words in (
        "8 of 2 slices",
        "50% interval holds",
        "90% interval holds",
        "correlation",
        "% of k-space",
        "same image",
    ):
        assert words in out


def test_the_measured_share_counts_the_mirror_of_a_real_image(tmp_path, capsys):
    found = figures(capsys, ["coverage", *make_result(tmp_path, "one", 1)])
    assert found["measured_fraction"] == pytest.approx(0.25)
    assert found["measured_share"] == pytest.approx(0.25, abs=0.02), "white deviations know nothing of the data"


def test_several_results_at_once(tmp_path, capsys):
    (a, _, a_true), (b, _, b_true) = make_result(tmp_path, "a", 1), make_result(tmp_path, "b", 2)
    saved = str(tmp_path / "cal.json")
    assert main(["calibrate", a, b, "--reference", a_true, b_true, "-o", saved]) == 0
    assert json.loads(Path(saved).read_text())["slices"] == 4
    capsys.readouterr()
    assert "one of each" in error_of(capsys, ["calibrate", a, b, "--reference", a_true, "-o", saved])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"method": "daps"}, "another method (prox-ddim, not daps)"),
        ({"samples": 4}, "another number of samples (8, not 4)"),
        ({"prior_sha256": "b" * 64}, "another prior"),
        ({"steps": 20}, "another number of steps"),
    ],
)
def test_a_calibration_is_refused_elsewhere(tmp_path, capsys, fields, words):
    fitted, other = make_result(tmp_path, "fitted", 1), make_result(tmp_path, "other", 2, **fields)
    saved = tmp_path / "cal.json"
    assert main(["calibrate", *fitted, "-o", str(saved)]) == 0
    capsys.readouterr()
    assert words in error_of(capsys, ["coverage", *other, "--calibration", str(saved)])
    saved.unlink()
    both = ["calibrate", fitted[0], other[0], "--reference", fitted[2], other[2], "-o", str(saved)]
    assert words in error_of(capsys, both)
    assert not saved.exists()


def test_the_reference_may_be_k_space(tmp_path, capsys):
    result, _, reference = make_result(tmp_path, "one", 1)
    expected = figures(capsys, ["coverage", result, "--reference", reference])
    full = tmp_path / "full.npz"
    kspace = fft2c(np.load(reference)["images"])[:, None]
    np.savez(full, kspace=kspace)
    found = figures(capsys, ["coverage", result, "--reference", str(full)])
    assert found["nominal"]["coverage_90"] == pytest.approx(expected["nominal"]["coverage_90"], abs=1e-3)
    kspace[..., ::2] = 0
    np.savez(full, kspace=kspace)
    assert "undersampled" in error_of(capsys, ["coverage", result, "--reference", str(full)])


def test_what_is_no_result_with_samples_is_refused(tmp_path, capsys):
    result, _, reference = make_result(tmp_path, "one", 1, status="cancelled")
    assert "cancelled" in error_of(capsys, ["coverage", result, "--reference", reference])
    assert "not a result" in error_of(capsys, ["coverage", reference, "--reference", reference])
    assert "not a result" in error_of(capsys, ["coverage", "nothing.npz", "--reference", reference])
    single = tmp_path / "single.npz"
    with np.load(result) as file:
        np.savez(single, **{name: file[name] for name in file.files if name != "samples"})
    assert "one sample only" in error_of(capsys, ["coverage", str(single), "--reference", reference])
    Path(result).write_bytes(Path(result).read_bytes()[:2000])
    assert "npz" in error_of(capsys, ["coverage", result, "--reference", reference])


def test_a_result_of_recon_has_quantiles_and_can_be_judged(tmp_path, capsys):
    np.savez(tmp_path / "in.npz", images=shepp_logan(32)[None].astype(np.float32))
    prior, out = make_prior(tmp_path / "tiny.safetensors"), str(tmp_path / "out.npz")
    run = ["recon", str(tmp_path / "in.npz"), "-o", out, "--prior", str(prior), "--method", "prox-ddim", "--steps", "3"]
    assert main([*run, "--samples", "4", "--mask-type", "equispaced", "--acceleration", "2", "--device", "cpu"]) == 0
    capsys.readouterr()
    with np.load(out) as file:
        levels, held = file["quantile_levels"], file["quantiles"]
        assert held.shape == (1, 5, 32, 32) and held.dtype == np.float32
        np.testing.assert_allclose(held[:, 2], np.median(np.abs(file["samples"]), axis=1), rtol=1e-5)
    np.testing.assert_allclose(levels, (0.05, 0.25, 0.5, 0.75, 0.95))
    found = figures(capsys, ["coverage", out, "--reference", str(tmp_path / "in.npz")])
    assert found["measured_fraction"] > 0.5 and 0 <= found["nominal"]["coverage_90"] <= 1
