"""Which parts go together, what a run of them costs, and the thesis's own guidance factor."""

import numpy as np
import pytest
from tiny import collect, tiny_denoiser, tiny_scan

from napari_lossguide.priors.analytic import GaussianPrior
from napari_lossguide.recon.engine import reconstruction
from napari_lossguide.recon.methods import GUIDANCES, SAMPLERS, combination, combinations, method
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.types import InvalidInput

REFUSED = [pair for pair, reason in combinations().items() if reason]
ALLOWED = [pair for pair, reason in combinations().items() if not reason]


def result(kdata, recipe, denoiser=None):
    maps = kdata.maps if kdata.n_coils > 1 else None
    return collect(reconstruction(kdata, recipe, maps=maps, device="cpu", denoiser=denoiser or tiny_denoiser()))[1]


@pytest.mark.parametrize(("sampler", "guidance"), REFUSED)
def test_a_pair_that_makes_no_sense_is_refused_with_the_reason(sampler, guidance):
    reason = combinations()[sampler, guidance]
    assert reason.startswith("the guidance corrects ") and reason.endswith(" be corrected")
    with pytest.raises(InvalidInput) as error:
        Recipe.for_method(f"karras+{sampler}+{guidance}")
    assert str(error.value) == f"'{sampler}' and '{guidance}' cannot be combined: {reason}."


@pytest.mark.parametrize(("sampler", "guidance"), ALLOWED)
def test_every_other_pair_is_a_method(sampler, guidance):
    recipe = Recipe.for_method(f"geometric+{sampler}+{guidance}")
    chosen = method(recipe.method)
    assert (chosen.sampler, chosen.guidance) == (SAMPLERS[sampler], GUIDANCES[guidance])
    assert Recipe.from_json(recipe.to_json()) == recipe


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("karras+ddim+preconditioned", "the guidance corrects the Langevin step itself, and this sampler lets only"),
        ("karras+pula+proximal", "this sampler lets only the Langevin step itself be corrected"),
        ("karras+decoupled+replacement", "the guidance corrects the noisy image before the network"),
        ("karras+heun+dps", "the guidance corrects the noisy image after a step"),
        ("karras+magic+proximal", "There is no sampler 'magic'; choose one of ddim, ancestral"),
        ("magic+ddim+proximal", "There is no schedule 'magic'; choose one of karras"),
        ("karras+ddim+magic", "There is no guidance 'magic'; choose one of proximal"),
    ],
)
def test_the_reason_is_in_words(name, sentence):
    with pytest.raises(InvalidInput, match=sentence):
        Recipe.for_method(name)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("karras+decoupled+loss", {"guidance.target": "state"}),
        ("karras+decoupled+pseudoinverse", {"guidance.step": "bayes"}),
    ],
)
def test_parameters_decide_too_where_a_guidance_corrects(name, settings):
    with pytest.raises(InvalidInput, match="the guidance corrects"):
        Recipe.for_method(name, settings=settings)


class Counting(GaussianPrior):
    """A denoiser that counts its calls."""

    calls = 0

    def __call__(self, x, sigma):
        self.calls += 1
        return super().__call__(x, sigma)


KNOBS = {
    "heun": [{}, {"sampler.order": "euler"}],
    "predictor-corrector": [{}, {"sampler.corrections": 3}, {"sampler.corrections": 0}],
    "langevin": [{}, {"sampler.repeats": 2}],
    "decoupled": [{}, {"sampler.flow_steps": 2}],
    "pula": [{}, {"sampler.repeats": 2}],
}
COSTS = [(name, knobs) for name in SAMPLERS for knobs in KNOBS.get(name, [{}])]


@pytest.mark.parametrize(("sampler", "knobs"), COSTS, ids=[f"{n}-{'-'.join(map(str, k.values()))}" for n, k in COSTS])
@pytest.mark.parametrize("resample", ["no", "long", "short"])
def test_the_evaluations_that_a_method_names_are_those_that_it_makes(sampler, knobs, resample):
    guidance = "preconditioned" if sampler == "pula" else "loss"
    settings = {"schedule.resample": resample, "schedule.jump": 0.4, "schedule.repeats": 2, **knobs}
    recipe = Recipe.for_method(f"karras+{sampler}+{guidance}", steps=5, settings=settings)
    parts = {"schedule": recipe.schedule, "sampler": recipe.sampler, "guidance": recipe.guidance}
    counting = Counting(0.5, 0.5)
    out = result(tiny_scan(), recipe, counting)
    assert method(recipe.method).evaluations(parts) == counting.calls == out.nfe


def test_classical_methods_evaluate_nothing():
    assert method("tv").evaluations(method("tv").settings()) == 0


@pytest.mark.parametrize("coils", [1, 3])
def test_the_thesiss_factor_gives_the_image_of_the_strength_that_it_stands_for(coils):
    """eta_g = g / (100 ny nx mean(M)), at the thesis's batch of 100; the strength beside it is not used."""
    kdata = tiny_scan(coils)
    g = 0.7 * 100 * kdata.acquired.size * kdata.acquired.mean()

    def image(**settings):
        settings = {f"guidance.{k}": v for k, v in settings.items()}
        return result(kdata, Recipe.for_method("loss-guidance-thesis", steps=5, settings=settings)).image

    by_strength, by_factor, other = image(strength=0.7), image(g=g, strength=1.9), image(strength=0.6)
    size = np.abs(by_strength).max()
    np.testing.assert_allclose(by_factor, by_strength, atol=1e-4 * size)
    assert np.abs(other - by_strength).max() > 5e-3 * size


@pytest.mark.parametrize("sampler", ["heun", "predictor-corrector", "langevin"])
def test_pigdm_takes_bayes_step_where_nobody_corrects_the_state_after_a_step(sampler):
    assert combination("karras", sampler, "pseudoinverse").settings()["guidance"]["step"] == "bayes"
    assert combination("karras", "ddim", "pseudoinverse").settings()["guidance"]["step"] == "adaptive"
    with pytest.raises(InvalidInput, match="makes no sense"):
        combination("karras", sampler, "pseudoinverse").settings({"guidance.step": "adaptive"})


def test_a_start_that_would_have_no_effect_is_refused():
    with pytest.raises(InvalidInput, match=r"start = .tv.*red-diff.* begins with the data"):
        Recipe.for_method("red-diff", start="tv")
    assert Recipe.for_method("prox-mean", start="tv").start == "tv"
