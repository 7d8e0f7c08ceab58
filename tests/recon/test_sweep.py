"""A sweep is its single reconstructions, side by side; what is wrong is said first, what is done is kept."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from tiny import collect, tiny_denoiser, tiny_scan

from napari_lossguide.masks import MaskRecipe
from napari_lossguide.recon import run as run_module
from napari_lossguide.recon import sweep as sweep_module
from napari_lossguide.recon.axes import NO_AXIS, Axis, grid
from napari_lossguide.recon.cells import Gathering, fingerprint, read_cells
from napari_lossguide.recon.engine import reconstruct, reconstruction
from napari_lossguide.recon.live import Change, Live
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.sweep import sweep, sweeping
from napari_lossguide.recon.variables import variables
from napari_lossguide.types import InvalidInput

ZERO_FILLED = Recipe.for_method("zero-filled")
PAIR = Axis(("mask.acceleration", "mask.center_fraction"), ((2, 0.3), (3, 0.2)))
MASKED = Recipe.for_method("cg-sense", steps=3, mask=MaskRecipe.of("random", acceleration=2, seed=1))


def full_scan(**more):
    """Everything acquired, with a reference."""
    from napari_lossguide.data.phantoms import shepp_logan, simulate

    return simulate(shepp_logan(24), noise_std=0.02, seed=2, **more)


def test_every_cell_is_the_reconstruction_with_its_values() -> None:
    kdata, base = full_scan(), Recipe.for_method("prox-ddim", steps=2, seed=3, image="complex")
    rows, columns = Axis.of("guidance.gamma", [0.5, 2.0]), Axis.of("schedule.steps", [2, 3, 4])
    progress, result = collect(sweeping(kdata, grid(base, rows, columns), denoiser=tiny_denoiser(), device="cpu"))
    assert result.image.shape == (2, 3, 1, 24, 24) and result.image.dtype == np.complex64
    assert (result.status == "done").all()
    for r, gamma in enumerate([0.5, 2.0]):
        for c, steps in enumerate([2, 3, 4]):
            settings = {"guidance.gamma": gamma, "schedule.steps": steps}
            recipe = Recipe.for_method("prox-ddim", settings=settings, seed=3, image="complex")
            run = reconstruction(kdata, recipe, denoiser=tiny_denoiser(), device="cpu")
            alone = collect(run)[1]
            np.testing.assert_array_equal(result.image[r, c], alone.image)
            np.testing.assert_array_equal(result.zero_filled[r, c], alone.zero_filled)
            assert result.figures["nfe"][r, c] == alone.nfe == steps
            assert result.figures["residual"][r, c] == alone.residual
            assert result.recipes[r][c].guidance["gamma"] == gamma
    assert [p.step for p in progress if p.run] == list(range(1, 19)) and {p.total for p in progress} == {18}
    assert [p.cell for p in progress] == sorted(p.cell for p in progress)
    assert progress[-1].values == {"guidance.gamma": 2.0, "schedule.steps": 4}
    assert (progress[-1].row, progress[-1].column, progress[-1].cells) == (1, 2, 6)


def test_scores_compare_with_the_reference_and_are_absent_without_one() -> None:
    kdata = full_scan()
    result = sweep(kdata, MASKED, PAIR, device="cpu")
    assert result.scores is not None and kdata.reference is not None
    error = np.abs(kdata.reference) - np.abs(result.image[0, 0])
    assert result.scores["mse"][0, 0] == pytest.approx((error**2).mean(), rel=1e-4)
    assert result.scores["psnr"][0, 0] == pytest.approx(10 * np.log10(kdata.reference.max() ** 2 / (error**2).mean()))
    assert result.scores["psnr"][0, 0] > result.scores["psnr"][1, 0]
    assert set(result.arrays()) >= {"psnr", "ssim", "nmse", "mse", "reference"}

    blind = sweep(replace(kdata, reference=None), MASKED, PAIR, device="cpu")
    assert blind.scores is None and blind.reference is None
    assert not {"psnr", "ssim", "nmse", "mse", "reference"} & set(blind.arrays())
    assert "psnr" not in blind.cells()[0]
    np.testing.assert_array_equal(blind.image, result.image)


def test_parameters_of_a_mask_change_together() -> None:
    kdata = full_scan()
    result = sweep(kdata, MASKED, PAIR, Axis.of("mask.seed", [5, 6]), device="cpu")
    for r, (acceleration, fraction) in enumerate(PAIR.values):
        mask = MaskRecipe.of("random", acceleration=acceleration, center_fraction=fraction, seed=6)
        assert result.recipes[r][1].mask == mask
        made = mask.make((24, 24))
        assert result.figures["acceleration"][r, 1] == pytest.approx(made.size / made.sum())
        alone = reconstruct(kdata, recipe=MASKED.model_copy(update={"mask": mask}), device="cpu")
        np.testing.assert_array_equal(result.image[r, 1], alone.image)


def test_methods_start_from_their_own_defaults_and_fields_vary() -> None:
    base = Recipe.for_method("prox-mean", settings={"guidance.gamma": 3.0}, prior_sha256="0" * 64)
    recipes = grid(base, Axis.of("method", ["prox-mean", "loss-guidance", "tv"]), Axis.of("seed", [4, 5])).recipes
    assert recipes[0][0].guidance["gamma"] == 3.0
    assert recipes[1][0].guidance == Recipe.for_method("loss-guidance").guidance
    assert [r.seed for r in recipes[2]] == [4, 5]
    assert [r.prior_sha256 for (r,) in grid(base, Axis.of("prior", ["a", "b"])).recipes] == ["", ""]
    assert [r.start for (r,) in grid(base, Axis.of("start", ["noise", "tv"])).recipes] == ["noise", "tv"]
    assert [r.samples for (r,) in grid(base, Axis.of("samples", [1, 2])).recipes] == [1, 2]


def test_a_knob_that_varies_is_not_turned_by_the_base() -> None:
    changes = (Change(step=1, name="guidance.gamma", value=9.0), Change(step=1, name="sampler.eta", value=0.1))
    base = Recipe.for_method("prox-ddim", steps=2, changes=changes)
    (recipe,), _ = grid(base, Axis.of("guidance.gamma", [0.5, 1.0])).recipes
    assert recipe.changes == changes[1:]


@pytest.mark.parametrize(
    ("axis", "sentence"),
    [
        (Axis.of("guidance.gamma", [1.0, -2.0]), "guidance.gamma = -2.0"),
        (Axis.of("guidance.nothing", [1.0]), "'guidance.nothing' is not a parameter of the method 'prox-ddim'"),
        (Axis.of("method", ["prox-ddim", "magic"]), "no method 'magic'"),
        (Axis.of("method", [7]), "no method '7'"),
        (Axis.of("samples", [1, 2.5]), "samples = 2.5"),
        (Axis.of("mask.acceleration", [2, 4]), "the recipe has no mask"),
    ],
)
def test_a_wrong_value_is_one_sentence_before_anything_runs(axis: Axis, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        grid(Recipe.for_method("prox-ddim"), axis)


def test_what_the_scan_does_not_allow_is_said_before_the_first_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module.Run, "steps", lambda self: pytest.fail("a cell ran"))
    kdata, prior = full_scan(), tiny_denoiser()
    crowded = Axis(("mask.acceleration", "mask.center_fraction"), ((2, 0.3), (8, 0.9)))
    with pytest.raises(InvalidInput, match=r"center_fraction 0\.9"):
        next(sweeping(kdata, grid(MASKED, crowded), device="cpu"))
    for name, sentence in (("repaint", "needs a region"), ("unconditional", "ignores the data")):
        cells = grid(ZERO_FILLED, Axis.of("method", ["zero-filled", name]))
        with pytest.raises(InvalidInput, match=sentence):
            next(sweeping(kdata, cells, denoiser=prior, device="cpu"))
    with pytest.raises(InvalidInput, match="no prior"):
        next(sweeping(kdata, grid(Recipe(), Axis.of("prior", ["brain-that-is-not-there"])), device="cpu"))


def test_axes_that_make_no_sense() -> None:
    with pytest.raises(InvalidInput, match="has no values"):
        Axis.of("seed", [])
    with pytest.raises(InvalidInput, match="seed has the value 1 twice"):
        Axis.of("seed", [1, 2, 1])
    with pytest.raises(InvalidInput, match="takes 2 values at a time"):
        Axis(("seed", "samples"), ((1, 2), (3,)))
    with pytest.raises(InvalidInput, match="a parameter twice"):
        Axis(("seed", "seed"), ((1, 2),))
    with pytest.raises(InvalidInput, match="along the rows and along the columns"):
        grid(ZERO_FILLED, Axis.of("seed", [1]), Axis.of("seed", [2]))
    drawn = ZERO_FILLED.model_copy(update={"mask": MaskRecipe.drawn(np.ones((4, 4), bool))})
    with pytest.raises(InvalidInput, match="drawn"):
        grid(drawn, Axis.of("mask.seed", [1]))


def test_cancelling_keeps_the_cells_that_are_done_and_names_the_others() -> None:
    live = Live()
    run = sweeping(full_scan(), grid(MASKED, PAIR, Axis.of("seed", [0, 1])), device="cpu", live=live)
    for progress in run:
        if progress.cell == 1 and progress.run and progress.run.step == 2:
            live.cancel()
            break
    result = collect(run)[1]
    assert result.status.tolist() == [["done", "cancelled"], ["not reached", "not reached"]]
    assert np.isfinite(result.image[0, 0]).all() and result.image[0, 0].any()
    assert np.isnan(result.image[0, 1]).all() and np.isnan(result.image[1]).all()
    assert np.isnan(result.scores["psnr"]).tolist() == [[False, True], [True, True]]
    assert np.isnan(result.figures["seconds"]).tolist() == [[False, True], [True, True]]


def test_a_cell_that_diverges_or_fails_does_not_end_the_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    real = run_module.diffusion_steps

    def steps(problem, denoiser, chosen, recipe, *more):
        for step in real(problem, denoiser, chosen, recipe, *more):
            if recipe.seed == 1:
                step.x0[:] = np.nan
            if recipe.seed == 2:
                raise InvalidInput("no luck")
            yield step

    monkeypatch.setattr(run_module, "diffusion_steps", steps)
    base = Recipe.for_method("prox-ddim", steps=2)
    cells = grid(base, NO_AXIS, Axis.of("seed", [0, 1, 2, 3]))
    result = collect(sweeping(tiny_scan(), cells, denoiser=tiny_denoiser(), device="cpu"))[1]
    assert result.status.tolist() == [["done", "diverged", "failed", "done"]]
    assert "diverged (NaN or infinity) at step 0" in result.notes[0, 1] and result.notes[0, 2] == "no luck"
    assert np.isnan(result.image[0, 1:3]).all() and np.isfinite(result.image[0, [0, 3]]).all()


def test_a_cell_that_lacks_a_slice_is_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    real, slices = run_module.diffusion_steps, []

    def steps(problem, denoiser, chosen, recipe, *more):
        slices.append(recipe.seed)
        second = slices.count(recipe.seed) == 2
        for step in real(problem, denoiser, chosen, recipe, *more):
            if recipe.seed == 1 and second:
                step.x0[:] = np.nan
            yield step

    monkeypatch.setattr(run_module, "diffusion_steps", steps)
    cells = grid(Recipe.for_method("prox-ddim", steps=2), NO_AXIS, Axis.of("seed", [0, 1, 2]))
    result = collect(sweeping(tiny_scan(slices=2), cells, denoiser=tiny_denoiser(), device="cpu"))[1]
    assert result.status.tolist() == [["done", "failed", "done"]]
    assert "1 of 2 slices failed; slice 1: " in result.notes[0, 1]


def test_a_fault_of_the_program_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self):
        raise RuntimeError("shapes do not match")
        yield

    monkeypatch.setattr(run_module.Run, "steps", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        sweep(full_scan(), ZERO_FILLED, Axis.of("seed", [0]), device="cpu")


def test_the_file_holds_axes_recipes_and_cells(tmp_path) -> None:
    result = sweep(full_scan(), MASKED, PAIR, Axis.of("seed", [0, 1]), device="cpu")
    result.save(tmp_path / "s.npz")
    with np.load(tmp_path / "s.npz", allow_pickle=False) as file:
        assert json.loads(str(file["rows"])) == {"names": list(PAIR.names), "values": [[2, 0.3], [3, 0.2]]}
        assert json.loads(str(file["columns"])) == {"names": ["seed"], "values": [[0], [1]]}
        assert Recipe.from_json(str(file["recipe"])) == result.recipes[0][0]
        assert Recipe.from_json(str(file["recipes"][1, 1])) == result.recipes[1][1]
        np.testing.assert_array_equal(file["image"], result.image)
        assert file["status"].tolist() == [["done"] * 2] * 2
    assert [(c["mask.acceleration"], c["seed"]) for c in result.cells()] == [(2, 0), (2, 1), (3, 0), (3, 1)]


# cells as they come, and cells of an earlier sweep --------------------------------------------------------------------


def test_every_cell_is_delivered_when_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its whole result; a diverged one with its reason; numbers and images are those of the sweep's end."""
    real = run_module.diffusion_steps

    def steps(problem, denoiser, chosen, recipe, *more):
        for step in real(problem, denoiser, chosen, recipe, *more):
            if recipe.seed == 1:
                step.x0[:] = np.nan
            yield step

    monkeypatch.setattr(run_module, "diffusion_steps", steps)
    base, kdata = Recipe.for_method("prox-ddim", steps=2), full_scan()
    cells = grid(base, NO_AXIS, Axis.of("seed", [0, 1, 2]))
    progress, result = collect(sweeping(kdata, cells, denoiser=tiny_denoiser(), device="cpu"))
    assert [p.cell if p.run is None else "step" for p in progress] == ["step", "step", 0, 1, "step", "step", 2]
    ended = [p.finished for p in progress if p.finished]
    assert [p.step for p in progress if p.finished] == [2, 4, 6]  # the steps that a cell did not make are jumped over
    assert [cell.status for cell in ended] == ["done", "diverged", "done"] and "NaN" in ended[1].note
    for cell in (ended[0], ended[2]):
        np.testing.assert_array_equal(cell.image, result.image[cell.place])
        np.testing.assert_array_equal(cell.result.image, cell.image)
        assert cell.numbers["psnr"] == result.scores["psnr"][cell.place]
        assert cell.numbers["nfe"] == cell.result.nfe == 2
    assert ended[2].result.maps is ended[0].result.maps  # the same maps are held once


def test_coil_maps_are_estimated_once_for_the_same_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the images stay those of single reconstructions, to the last bit."""
    kdata = full_scan(n_coils=3)
    real, estimated = sweep_module.coil_maps, []
    monkeypatch.setattr(sweep_module, "coil_maps", lambda *a: estimated.append(a[1:]) or real(*a))
    base = MASKED.model_copy(update={"mask": MaskRecipe.of("random", acceleration=2, center_fraction=0.4)})
    rows = Axis(("mask.acceleration", "calibration"), ((2, 8), (1.5, 8), (2, 9)))
    result = sweep(kdata, base, rows, Axis.of("guidance.regularization", [0.01, 0.1]), device="cpu")
    assert estimated == [(0, 8, "espirit"), (0, 8, "espirit"), (0, 9, "espirit")] and (result.status == "done").all()
    for (r, c), recipe in ((place, result.asked[place[0]][place[1]]) for place in np.ndindex(3, 2)):
        np.testing.assert_array_equal(result.image[r, c], reconstruct(kdata, recipe=recipe, device="cpu").image)


def test_the_kind_of_coil_maps_can_vary() -> None:
    """And maps of one kind are not taken for those of the other."""
    kdata = full_scan(n_coils=3)
    base = MASKED.model_copy(update={"mask": MaskRecipe.of("random", acceleration=2, center_fraction=0.4)})
    result = sweep(kdata, base, Axis.of("coil_maps", ["espirit", "walsh"]), device="cpu")
    assert (result.status == "done").all() and not np.allclose(result.image[0, 0], result.image[1, 0], rtol=1e-2)
    for row, recipe in enumerate(cells[0] for cells in result.asked):
        np.testing.assert_array_equal(result.image[row, 0], reconstruct(kdata, recipe=recipe, device="cpu").image)
    assert variables(base)["coil_maps"].choices == ("espirit", "walsh")
    assert variables(base)["coil_maps"].example() == "espirit, walsh"
    assert set(variables(base, 2)) - set(variables(base, 1)) == {"coil_maps", "calibration"}


def test_cells_that_are_known_are_taken_over_into_another_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    kdata, base = full_scan(), MASKED
    first = collect(sweeping(kdata, grid(base, NO_AXIS, Axis.of("seed", [1, 2])), device="cpu"))
    known = [p.finished for p in first[0] if p.finished]
    ran = []
    real = run_module.Run.steps
    monkeypatch.setattr(run_module.Run, "steps", lambda self: ran.append(self.recipe.seed) or real(self))
    wider = grid(base, NO_AXIS, Axis.of("seed", [3, 2, 1]))
    progress, result = collect(sweeping(kdata, wider, device="cpu", known=known))
    assert ran == [3] and (result.status == "done").all()
    assert {p.total for p in progress} == {3} and progress[-1].step == 3
    assert [p.column for p in progress if p.finished] == [0, 1, 2]
    np.testing.assert_array_equal(result.image[0, 1:], first[1].image[0, ::-1])
    assert result.figures["seconds"][0, 2] == first[1].figures["seconds"][0, 0]


def test_a_cell_of_another_prior_is_made_again() -> None:
    base = Recipe.for_method("prox-ddim", steps=2)
    cells, kdata = grid(base, NO_AXIS, Axis.of("seed", [0])), full_scan()
    denoiser = tiny_denoiser()
    known = [p.finished for p in collect(sweeping(kdata, cells, denoiser=denoiser, device="cpu"))[0] if p.finished]
    assert len(collect(sweeping(kdata, cells, denoiser=denoiser, device="cpu", known=known))[0]) == 1
    other = tiny_denoiser(seed=5)
    other.info = replace(other.info, sha256="b" * 64)
    progress, result = collect(sweeping(kdata, cells, denoiser=other, device="cpu", known=known))
    assert len(progress) == 3
    assert not np.array_equal(result.image[0, 0], known[0].image)


def test_a_cancelled_sweep_keeps_what_was_known_behind_it() -> None:
    kdata, live = full_scan(), Live()
    known = [p.finished for p in collect(sweeping(kdata, grid(MASKED, Axis.of("seed", [7])), device="cpu"))[0]]
    run = sweeping(kdata, grid(MASKED, Axis.of("seed", [1, 7])), device="cpu", live=live, known=filter(None, known))
    next(run)
    live.cancel()
    assert collect(run)[1].status.tolist() == [["cancelled"], ["done"]]


def test_cells_come_back_from_the_file_of_their_own_scan_only(tmp_path) -> None:
    kdata, cells = full_scan(), grid(MASKED, NO_AXIS, Axis.of("seed", [0, 1]))
    progress, result = collect(sweeping(kdata, cells, device="cpu"))
    gathering, path = Gathering(kdata, cells), tmp_path / "s.npz"
    done = [p.finished for p in progress if p.finished]
    gathering.sweep(done[:1]).save(path)
    (cell,) = read_cells(path, gathering.scan)
    assert (cell.place, cell.asked, cell.numbers) == ((0, 0), MASKED, done[0].numbers)
    assert cell.recipe == done[0].recipe and cell.result is None
    np.testing.assert_array_equal(cell.image, result.image[0, 0])
    assert gathering.sweep(done[:1]).status.tolist() == [["done", "not reached"]]

    other = replace(kdata, kspace=kdata.kspace * 2)
    with pytest.raises(InvalidInput, match="another scan"):
        read_cells(path, fingerprint(other))
    with pytest.raises(InvalidInput, match="another scan"):
        read_cells(path, fingerprint(replace(kdata, calibration=kdata.kspace)))
    with pytest.raises(InvalidInput, match="another scan"):
        read_cells(path, fingerprint(kdata, np.ones((24, 24), np.complex64)))
    np.savez(path, image=result.image)
    with pytest.raises(InvalidInput, match="no sweep that can be resumed: it has no asked"):
        read_cells(path, gathering.scan)
    path.write_bytes(b"not an archive")
    with pytest.raises(InvalidInput, match="cannot be read as a sweep"):
        read_cells(path, gathering.scan)
