"""``lossguide methods``, and what ``lossguide recon`` takes beside the method: start, losses, region, noise scan."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from shell import error_of, make_prior
from test_cli import SIZE

from napari_lossguide.cli import main
from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.guidance.loss_terms import LossTerm
from napari_lossguide.recon.methods import GUIDANCES, METHODS, SAMPLERS, SCHEDULES, combinations, here, method
from napari_lossguide.recon.problem import noise_from_scan
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.types import InvalidInput


def shown(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert main(["methods", *argv]) == 0
    return capsys.readouterr().out


# methods --------------------------------------------------------------------------------------------------------------


def test_the_list_has_every_method_part_and_reason_within_100_columns(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    first = [line.split()[0] for line in lines if line]
    assert all(name in first for name in (*(m.name for m in here()), *SCHEDULES, *SAMPLERS, *GUIDANCES))
    words = " ".join(text.split())
    for m in here():
        assert m.title in words and m.summary in words and m.paper in words
    refused = {pair: reason for pair, reason in combinations().items() if reason}
    assert refused and all(reason in words for reason in refused.values())


def test_evaluations_and_needs_are_the_engines_own(capsys: pytest.CaptureFixture[str]) -> None:
    facts = {m["name"]: m for m in json.loads(shown(capsys, "--json"))["methods"]}
    assert list(facts) == [m.name for m in here()]
    assert facts["repaint"]["evaluations"] == METHODS["repaint"].evaluations(METHODS["repaint"].settings()) > 1000
    assert facts["zero-filled"]["evaluations"] == 0 and facts["zero-filled"]["needs"] == ["k-space"]
    needs = {name: m["needs"] for name, m in facts.items()}
    assert [n for n in needs if "region" in needs[n]] == ["repaint"]
    assert [n for n in needs if "gradient through the network" in needs[n]] == ["dps", "pigdm"]
    assert "noise level" in needs["prox-mean"] and "noise level" not in needs["ddnm"]
    assert "k-space" not in needs["unconditional"]


def test_a_method_of_the_list_and_a_combination_show_their_knobs(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("prox-ddim", "cg-sense", "karras+heun+loss"):
        text = shown(capsys, name)
        assert max(map(len, text.splitlines())) <= 100
        rows = {line.split()[0]: line for line in text.splitlines() if line and line[0] != " "}
        assert set(method(name).params()) <= set(rows)
        assert [n for n in method(name).params() if rows[n].endswith("live")] == method(name).live_knobs
    facts = json.loads(shown(capsys, "prox-ddim", "--json"))
    gamma = next(k for k in facts["knobs"] if k["name"] == "guidance.gamma")
    assert (gamma["default"], gamma["range"], gamma["live"]) == (1.0, "[1e-06, 1000]", True)
    assert facts["parts"] == {"schedule": "karras", "sampler": "ddim", "guidance": "proximal"}


def test_an_unknown_method_and_a_pair_that_makes_no_sense_are_sentences(capsys: pytest.CaptureFixture[str]) -> None:
    assert "prox-ddim" in error_of(capsys, ["methods", "magic"])
    assert "cannot be combined" in error_of(capsys, ["methods", "karras+pula+proximal"])


# recon ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """k-space (ny, nx) of a phantom with a little noise."""
    path = tmp_path / "scan.npy"
    np.save(path, simulate(shepp_logan(SIZE), noise_std=0.01, seed=1).kspace[0, 0])
    return path


@pytest.fixture(scope="module")
def prior(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained network."""
    return make_prior(tmp_path_factory.mktemp("prior") / "tiny.safetensors")


def argv_of(scan: Path, prior: Path, *options: str, steps: int = 2) -> list[str]:
    out = str(scan.with_name("out.npz"))
    return ["recon", str(scan), "-o", out, "--prior", str(prior), "--device", "cpu", "--steps", str(steps), *options]


def result(scan: Path, prior: Path, *options: str) -> tuple[Recipe, np.ndarray]:
    assert main(argv_of(scan, prior, *options)) == 0
    with np.load(scan.with_name("out.npz"), allow_pickle=False) as file:
        return Recipe.from_json(str(file["recipe"])), file["image"]


def test_start_and_losses_reach_the_recipe_and_the_image(scan: Path, prior: Path) -> None:
    _, plain = result(scan, prior)
    recipe, started = result(scan, prior, "--start", "cg-sense", "--set", "schedule.sigma_max=0.2")
    assert recipe.start == "cg-sense"
    losses = ["--loss", "tv=0.02", "--loss", "range=0.5,low=0.1,high=1.2"]
    recipe, smoothed = result(scan, prior, *losses)
    assert recipe.losses == (LossTerm(kind="tv", weight=0.02), LossTerm(kind="range", weight=0.5, low=0.1, high=1.2))
    assert not np.allclose(plain, started) and not np.allclose(plain, smoothed)


def test_a_region_is_filled_or_weighted(scan: Path, prior: Path, tmp_path: Path) -> None:
    region = np.zeros((SIZE, SIZE), bool)
    region[10:16, 12:20] = True
    path = tmp_path / "region.npy"
    np.save(path, region)
    saved = tmp_path / "repaint.json"
    recipe, image = result(scan, prior, "--method", "repaint", "--region", str(path), "--save-recipe", str(saved))
    assert recipe.region is not None
    np.testing.assert_array_equal(recipe.region.make((SIZE, SIZE)), region)
    _, zero_filled = result(scan, prior, "--recipe", str(saved), "--method", "zero-filled")
    np.testing.assert_allclose(image[0][~region], zero_filled[0][~region], atol=1e-4)
    assert np.abs(image[0] - zero_filled[0])[region].max() > 0.01
    recipe, _ = result(scan, prior, "--loss", "region=2", "--region", str(path))
    assert recipe.losses[0].kind == "region"


def test_a_classical_method_leaves_the_start_and_the_losses_of_a_recipe_aside(scan: Path, prior: Path) -> None:
    saved = scan.with_name("saved.json")
    result(scan, prior, "--start", "tv", "--loss", "tv=0.1", "--save-recipe", str(saved))
    recipe, _ = result(scan, prior, "--recipe", str(saved), "--method", "cg-sense")
    assert recipe.start == "noise" and recipe.losses == ()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--loss", "tv"], "'tv' is not KIND=WEIGHT"),
        (["--loss", "tv=much"], "is not KIND=WEIGHT"),
        (["--loss", "range=1,lowest=0"], "is not KIND=WEIGHT"),
        (["--loss", "edges=1"], "'tv', 'range' or 'region'"),
        (["--loss", "range=1,low=2,high=1"], "low = 2.0 must be less than high = 1.0"),
        (["--loss", "tv=-1"], "greater than or equal to 0"),
        (["--loss", "tv=nan"], "weight"),
        (["--loss", "region=1"], "needs a region"),
        (["--method", "repaint"], "needs a region"),
        (["--method", "cg-sense", "--loss", "tv=1"], "classical"),
        (["--method", "cg-sense", "--start", "tv"], "classical"),
        (["--method", "pula", "--loss", "tv=1"], "nothing but its own step"),
        (["--start", "nothing"], "invalid choice"),
        (["--region", "absent.npy"], "absent.npy"),
        (["--noise-scan", "absent.npy"], "absent.npy"),
        (["--noise-scan", "absent.npy", "--noise-std", "1"], "not allowed with"),
    ],
)
def test_wrong_options_are_one_sentence(
    scan: Path, prior: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    assert words in error_of(capsys, argv_of(scan, prior, *options))
    assert not scan.with_name("out.npz").exists()


@pytest.mark.parametrize(
    ("region", "words"),
    [
        (np.ones((8, 8), bool), "(8, 8)"),
        (np.zeros((SIZE, SIZE), bool), "is empty"),
        (np.full((SIZE, SIZE), 0.5), "other than 0 and 1"),
    ],
)
def test_a_region_that_does_not_fit_is_one_sentence(
    scan: Path, prior: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, region: np.ndarray, words: str
) -> None:
    path = tmp_path / "region.npy"
    np.save(path, region)
    said = error_of(capsys, argv_of(scan, prior, "--method", "repaint", "--region", str(path)))
    assert words in said and "The region in" in said


# noise ----------------------------------------------------------------------------------------------------------------


def noise(std: float, shape: tuple[int, ...] = (4, 64, 64)) -> np.ndarray:
    rng = np.random.default_rng(5)
    return (std / 2**0.5 * (rng.normal(size=shape) + 1j * rng.normal(size=shape))).astype(np.complex64)


@pytest.mark.parametrize("name", ["noise.npy", "noise.npz"])
def test_a_noise_scan_gives_the_noise_level(scan: Path, prior: Path, tmp_path: Path, name: str) -> None:
    path, values = tmp_path / name, noise(0.03)
    np.save(path, values) if name.endswith("npy") else np.savez(path, kspace=values)
    recipe, _ = result(scan, prior, "--noise-scan", str(path))
    assert recipe.noise_std == pytest.approx(0.03, rel=0.02)
    assert recipe.noise_std == pytest.approx(np.sqrt(np.mean(np.abs(values) ** 2)), rel=1e-5)


def test_squares_of_a_noise_scan_do_not_overflow() -> None:
    assert noise_from_scan(np.full((8, 8), 1e30, np.complex64)) == pytest.approx(1e30, rel=1e-6)


@pytest.mark.parametrize(
    ("scan", "words"),
    [
        (np.empty((0, 8), np.complex64), "empty"),
        (np.array([1 + 1j, np.nan]), "NaN"),
        (np.array([1 + 1j, np.inf]), "NaN or infinity"),
        (np.ones((8, 8)), "float64"),
        (np.zeros((8, 8), np.complex64), "zeros"),
        (np.array(["a", "b"]), "<U1"),
    ],
)
def test_a_noise_scan_that_is_none_is_one_sentence(scan: np.ndarray, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        noise_from_scan(scan)
