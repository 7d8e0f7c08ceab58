"""Drawing without data: the same numbers again, whatever the batch, by every way in; cancel; wrong input."""

import hashlib

import numpy as np
import pytest
import torch
from tiny import collect, tiny_classifier, tiny_denoiser, tiny_scan, tiny_unet

from napari_lossguide import sample
from napari_lossguide.cli import main
from napari_lossguide.data.montage import montage, write_png
from napari_lossguide.priors.analytic import GaussianPrior
from napari_lossguide.priors.classifier.classifier import CLASSES, save_classifier
from napari_lossguide.priors.load import save_prior
from napari_lossguide.recon.engine import reconstruction
from napari_lossguide.recon.live import Live
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.samples import sample_recipe
from napari_lossguide.recon.sampling import sampling
from napari_lossguide.types import Diverged, InvalidInput

SMALL = {"shape": (24, 20), "steps": 4}


def run(denoiser=None, live=None, recipe=None, **fields):
    recipe = recipe or sample_recipe(**(SMALL | fields))
    return sampling(recipe, device="cpu", live=live, denoiser=denoiser or tiny_denoiser())


@pytest.fixture
def prior(tmp_path):
    path = tmp_path / "tiny.safetensors"
    network = tiny_unet()
    info = {"name": "tiny", "sigma_data": 0.25, "licence": "none", "trained_on": "nothing"}
    save_prior(path, network.state_dict(), network.config, info)
    return path


def classifier_sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("real", [True, False])
def test_the_number_of_images_their_size_and_kind(real):
    progress, out = collect(run(count=3, real=real))
    assert out.images.shape == (3, 24, 20) and out.images.dtype == (np.float32 if real else np.complex64)
    assert out.status == "done" and out.nfe == 4 and len(out.trace) == 4
    assert [(p.step, p.total, p.slice) for p in progress] == [(i + 1, 4, 0) for i in range(4)]
    np.testing.assert_allclose(progress[-1].image(), np.abs(out.images), rtol=1e-6)
    assert out.recipe.image == ("real" if real else "complex") and out.recipe.shape == (24, 20)


def test_an_image_depends_on_its_number_and_the_seed_and_not_on_the_batch():
    _, all_at_once = collect(run(count=5))
    for batch in (1, 2, 3):
        progress, out = collect(run(count=5, settings={"batch": batch}))
        np.testing.assert_allclose(out.images, all_at_once.images, atol=1e-4)
        assert progress[-1].slice == 5 - (5 % batch or batch) and progress[-1].step == progress[-1].total
    _, fewer = collect(run(count=2))
    np.testing.assert_allclose(fewer.images, all_at_once.images[:2], atol=1e-4)
    _, other = collect(run(count=2, seed=1))
    assert np.abs(other.images - fewer.images).max() > 0.01
    assert np.abs(np.diff(all_at_once.images, axis=0)).max((1, 2)).min() > 0.01


def test_shell_python_and_engine_give_the_same_bits(prior, tmp_path):
    out, again, grid = tmp_path / "s.npz", tmp_path / "again.npz", tmp_path / "s.png"
    argv = ["--prior", str(prior), "--shape", "24x20", "--count", "3", "--steps", "4", "--seed", "7", "--complex"]
    assert main(["sample", *argv, "--device", "cpu", "-o", str(out), "--png", str(grid)]) == 0
    assert main(["sample", "--recipe", str(out), "--device", "cpu", "-o", str(again)]) == 0
    python = sample(prior=str(prior), count=3, seed=7, real=False, device="cpu", **SMALL)
    with np.load(out) as a, np.load(again) as b:
        assert a["images"].tobytes() == b["images"].tobytes() == python.images.tobytes()
        assert Recipe.from_json(str(a["recipe"])) == python.recipe
    assert python.recipe.prior_sha256 and python.provenance["image_sha256"]
    assert grid.read_bytes().startswith(b"\x89PNG")
    assert main(["info", str(out)]) == 0


def test_options_go_over_the_recipe(prior, tmp_path):
    first, second = tmp_path / "a.npz", tmp_path / "b.npz"
    argv = ["--prior", str(prior), "--shape", "24x20", "--steps", "4", "--device", "cpu", "--seed", "3"]
    assert main(["sample", *argv, "--count", "1", "-o", str(first), "--set", "sampler.variance=beta"]) == 0
    assert main(["sample", "--recipe", str(first), "--count", "2", "--device", "cpu", "-o", str(second)]) == 0
    with np.load(first) as a, np.load(second) as b:
        assert b["images"].shape[0] == 2
        np.testing.assert_allclose(a["images"][0], b["images"][0], atol=1e-4)
        assert Recipe.from_json(str(b["recipe"])).sampler["variance"] == "beta"


def test_samples_of_a_gaussian_prior_have_its_mean_and_spread():
    """What fresh noise in every step (eta = 1) would not give."""
    prior = GaussianPrior(0.4, 0.3)
    _, out = collect(run(prior, count=8, shape=(32, 32), steps=200))
    assert out.images.mean() == pytest.approx(0.4, abs=0.02)
    assert out.images.std() == pytest.approx(0.3, rel=0.05)
    _, out = collect(run(prior, count=8, shape=(32, 32), steps=200, real=False))
    assert out.images.imag.std() == pytest.approx(0.3, rel=0.05)


@pytest.mark.parametrize("method", ["unconditional", "classifier"])
def test_a_stated_class_is_imposed_by_the_classifier_of_the_recipe(method, tmp_path):
    """Through the engine, by a file; what was asked is in the recipe, and who was asked in the provenance."""
    classifier, path = tiny_classifier(), tmp_path / "c.safetensors"
    info = {"name": "c", "classes": CLASSES, "sigma_min": 0.002, "sigma_max": 10.0}
    save_classifier(path, classifier.model.state_dict(), classifier.model.config, info)
    known = {"guidance.classifier": str(path), "guidance.contrast": "T2w", "guidance.plane": "coronal"}

    def probability(scale):
        settings = known | {"guidance.scale": scale}
        if method == "unconditional":
            _, out = collect(run(count=2, settings=settings))
            images = out.images
        else:
            recipe = Recipe.for_method(method, steps=4, samples=2, settings=settings)
            _, out = collect(reconstruction(tiny_scan(), recipe, device="cpu", denoiser=tiny_denoiser()))
            images = out.samples[0].real / out.scale[0]
        log_p = classifier(torch.from_numpy(images).float(), 0.01)
        return float(log_p["contrast"][:, 1].mean() + log_p["plane"][:, 1].mean()), out

    (without, plain), (guided, out) = probability(0), probability(3)
    assert guided > without + 0.01
    assert out.provenance["classifier_sha256"] == classifier_sha(path) and out.recipe.guidance["contrast"] == "T2w"
    assert np.isfinite(plain.trace[-1]["sigma"])
    unasked = sample_recipe(**SMALL, settings={"guidance.classifier": "nowhere"})
    assert "classifier_sha256" not in collect(run(recipe=unasked))[1].provenance
    with pytest.raises(InvalidInput, match="There is no classifier 'nowhere'"):
        next(run(contrast="T1w", settings={"guidance.classifier": "nowhere"}))


def test_live_changes_are_replayed_over_all_batches():
    live = Live()
    running = run(count=2, live=live, settings={"batch": 1})
    for _ in range(5):
        next(running)
    live.update({"guidance.scale": 5.0})
    _, out = collect(running)
    assert [(c.step, c.value) for c in out.recipe.changes] == [(5, 5.0)]
    _, again = collect(run(recipe=out.recipe))
    assert again.images.tobytes() == out.images.tobytes() and again.recipe == out.recipe


def test_cancel_keeps_what_was_begun():
    live = Live()
    running = run(count=3, live=live, settings={"batch": 1})
    for _ in range(6):
        progress = next(running)
    live.cancel()
    rest, out = collect(running)
    assert rest == [] and out.status == "cancelled" and out.images.shape == (2, 24, 20)
    np.testing.assert_allclose(np.abs(out.images[1]), progress.image()[0], rtol=1e-6)
    _, whole = collect(run(count=3, settings={"batch": 1}))
    assert out.images[0].tobytes() == whole.images[0].tobytes()


def test_what_is_not_finite_is_said():
    def broken(x, sigma):
        return x * torch.nan

    broken.info = tiny_denoiser().info
    with pytest.raises(Diverged, match="step 0"):
        collect(run(broken))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"shape": (0, 20)}, r"^shape\.0 = 0: input should be greater"),
        ({"shape": (4, 4)}, "4 x 4 pixels; the prior 'tiny' needs at least 16 x 16"),
        ({"count": 0}, "^samples = 0: input should be greater"),
        ({"count": 257}, "^samples = 257: input should be less"),
        ({"contrast": "PD"}, "guidance.contrast = 'PD': input should be 'any', 'T1w'"),
        ({"plane": "oblique"}, "guidance.plane = 'oblique': input should be 'any', 'axial'"),
        ({"settings": {"guidance.gamma": 1}}, "'guidance.gamma' is not a parameter of the method 'unconditional'"),
    ],
)
def test_wrong_input_is_one_sentence(fields, sentence):
    with pytest.raises(InvalidInput, match=sentence) as caught:
        next(run(**fields))
    assert "\n" not in str(caught.value)


def test_recipes_that_are_not_of_samples():
    with pytest.raises(InvalidInput, match="'prox-mean' needs k-space; samples are drawn with unconditional"):
        next(run(recipe=Recipe.for_method()))
    with pytest.raises(InvalidInput, match="The recipe has no shape"):
        next(run(recipe=Recipe.for_method("unconditional")))


def test_a_montage_holds_every_image_in_its_place(tmp_path):
    images = np.arange(5, dtype=np.float32)[:, None, None] * np.ones((1, 3, 4), np.float32)
    picture = montage(images, gap=1)
    assert picture.shape == (2 * 3 + 1, 3 * 4 + 2)
    assert (picture[:3, 5:9] == 1).all() and (picture[4:, :4] == 3).all()
    assert (picture[3] == 4).all() and (picture[4:, 10:] == 4).all()
    write_png(tmp_path / "p.png", picture, (0, 4))
    from PIL import Image

    read = np.asarray(Image.open(tmp_path / "p.png"))
    np.testing.assert_array_equal(read, np.round(255 * picture / 4))
    with pytest.raises(InvalidInput, match=r"p\.png could not be written"):
        write_png(tmp_path / "nowhere" / "p.png", picture, (0, 4))
