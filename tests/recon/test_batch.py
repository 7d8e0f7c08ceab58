"""Pieces of a batch: what is planned, run, known again, told."""

import csv
import json
import math

import numpy as np
import pytest
from PIL import Image

from napari_lossguide.data.exports.registry import WRITERS, files_of
from napari_lossguide.data.image_readers import read_images
from napari_lossguide.data.origin import Origin
from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.data.raw.steps import USUAL
from napari_lossguide.data.readers import read
from napari_lossguide.masks import MaskRecipe
from napari_lossguide.recon.batch import Line, known, piece_recipe, plan, run_here, run_piece
from napari_lossguide.recon.batch_summary import crossed, thumbnail, write_contact_sheet, write_summary
from napari_lossguide.recon.drive import last_of
from napari_lossguide.recon.engine import reconstruction
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.recipe_file import read_recipe

RECIPE = Recipe.for_method("cg-sense", steps=3)


@pytest.fixture
def stack(tmp_path):
    """Three slices of different sizes of head, two coils."""
    images = np.stack([np.roll(shepp_logan(24), shift, 0) for shift in (0, 2, 5)])
    kdata = simulate(images, n_coils=2, noise_std=0.01, seed=1)
    path = tmp_path / "in" / "stack.npz"
    path.parent.mkdir()
    np.savez(path, kspace=kdata.kspace, spacing=[4, 1, 1])
    return path


def images_of(lines):
    found = []
    for line in lines:
        with np.load(line.output) as file:
            found.append(file["image"])
    return found


def test_each_slice_becomes_a_result_that_its_own_recipe_gives_again(stack, tmp_path):
    pieces, lines = plan([stack], tmp_path / "out", RECIPE)
    assert lines == [] and [piece.slice for piece in pieces] == [0, 1, 2]
    done = list(run_here(pieces, RECIPE))
    assert [line.status for line in done] == ["done"] * 3
    for index, (line, image) in enumerate(zip(done, images_of(done), strict=True)):
        assert line.output == str(tmp_path / "out" / "stack" / f"slice_{index:04d}.npz")
        with np.load(line.output) as file:
            recipe = Recipe.from_json(str(file["recipe"]))
            assert json.loads(str(file["facts"]))["residual"] == line.residual
            np.testing.assert_array_equal(file["spacing"], [4, 1, 1])
        again = last_of(reconstruction(read(stack).select(index), recipe))
        np.testing.assert_array_equal(again.image, image)


def test_raw_data_steps_are_done_in_every_piece_and_make_other_pieces(stack, tmp_path):
    usual, _ = plan([stack], tmp_path / "out", RECIPE)
    steps = {"coils": 1}
    pieces, _ = plan([stack], tmp_path / "out", RECIPE, steps=steps)
    assert not {piece.key for piece in usual} & {piece.key for piece in pieces}
    assert [piece.key for piece in plan([stack], tmp_path / "out", RECIPE, steps=USUAL)[0]] == [p.key for p in usual]
    line = run_piece(pieces[1], RECIPE)
    with np.load(line.output) as file:
        assert file["maps"].shape[1] == 1
        again = last_of(reconstruction(read(stack, steps=steps).select(1), Recipe.from_json(str(file["recipe"]))))
        np.testing.assert_array_equal(again.image, file["image"])


ENDINGS = [writer.suffixes[-1] for writer in WRITERS]


@pytest.mark.parametrize("ending", ENDINGS)
def test_results_of_every_kind_hold_the_image_and_the_recipe(stack, tmp_path, ending):
    plain = list(run_here(plan([stack], tmp_path / "plain", RECIPE)[0], RECIPE))
    pieces, _ = plan([stack], tmp_path / "out", RECIPE, ending=ending)
    assert not {piece.key for piece in pieces} & {
        p.key for p in plan([stack], tmp_path / "out", RECIPE, ending=".x")[0]
    }
    lines = list(run_here(pieces, RECIPE))
    for line, image in zip(lines, images_of(plain), strict=True):
        assert line.output.endswith(f"slice_{line.slice:04d}{ending}")
        loaded = read_images(line.output, variable="image" if ending == ".npz" else None)
        np.testing.assert_array_equal(loaded.array, image)
        assert loaded.spacing == (4, 1, 1)
        assert read_recipe(line.output).seed == piece_recipe(RECIPE, pieces[line.slice]).seed
    assert [known(piece) for piece in pieces] == lines
    sheets = [write_contact_sheet(folder, done).read_bytes() for folder, done in ((tmp_path, plain), (tmp_path, lines))]
    assert sheets[0] == sheets[1]


@pytest.mark.parametrize("ending", ENDINGS)
def test_nothing_half_written_or_damaged_is_known(stack, tmp_path, ending):
    (piece, *_), _ = plan([stack], tmp_path / "out", RECIPE, ending=ending)
    line = run_piece(piece, RECIPE)
    for file in files_of(line.output):
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) * 9 // 10 if len(whole) > 1000 else 10])
        assert known(piece) is None, file
        file.unlink()
        assert known(piece) is None, file
        file.write_bytes(whole)
        assert known(piece) == line
    (other, *_), _ = plan([stack], tmp_path / "out", Recipe.for_method("cg-sense", steps=1), ending=ending)
    assert known(other) is None


def test_the_old_record_beside_new_numbers_is_not_known(stack, tmp_path):
    (piece, *_), _ = plan([stack], tmp_path / "out", RECIPE, ending=".cfl")
    line, (_, _, record) = run_piece(piece, RECIPE), files_of(piece.output)
    old = record.read_bytes()
    row = np.arange(24)[:, None] * np.ones(24, int)
    half = MaskRecipe.drawn((row % 2 == 0) | (abs(row - 12) < 8))
    recipe = Recipe.for_method("zero-filled", mask=half)
    (other, *_), _ = plan([stack], tmp_path / "out", recipe, ending=".cfl")
    assert run_piece(other, recipe).output == line.output and known(other) is not None
    record.write_bytes(old)  # as a kill between two renames leaves it
    assert known(piece) is None and known(other) is None


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_slice_that_fails_takes_the_result_of_other_data_away(stack, tmp_path, ending):
    pieces, _ = plan([stack], tmp_path / "out", RECIPE, ending=ending)
    run_piece(pieces[1], RECIPE)
    kspace = read(stack).kspace.copy()
    kspace[1] = 0
    np.savez(stack, kspace=kspace)
    pieces, _ = plan([stack], tmp_path / "out", RECIPE, ending=ending)
    assert run_piece(pieces[1], RECIPE).status == "failed"
    assert [file.name for file in (tmp_path / "out" / "stack").iterdir()] == ["slice_0001.failed.json"]


def test_infinite_figures_of_merit_are_known_again(tmp_path, stack, monkeypatch):
    monkeypatch.setattr(
        "napari_lossguide.recon.metrics.evaluate", lambda *_: dict.fromkeys(("psnr", "ssim", "nmse"), math.inf)
    )
    np.savez(tmp_path / "a.npz", images=shepp_logan(24)[None])
    (piece,), _ = plan([tmp_path / "a.npz"], tmp_path / "out", RECIPE, ending=".nii.gz")
    line = run_piece(piece, RECIPE)
    assert known(piece) == line and line.psnr == math.inf


def test_seeds_differ_and_do_not_depend_on_the_company(stack, tmp_path):
    other = tmp_path / "in" / "other.npz"
    np.savez(other, kspace=read(stack).kspace * 2)
    pieces, _ = plan([other, stack], tmp_path / "out", RECIPE)
    seeds = {(piece.path, piece.slice): piece_recipe(RECIPE, piece).seed for piece in pieces}
    assert len(set(seeds.values())) == 6
    for piece in plan([stack], tmp_path / "elsewhere", RECIPE)[0]:
        assert seeds[piece.path, piece.slice] == piece_recipe(RECIPE, piece).seed


def test_what_was_done_is_known_until_data_or_recipe_change(stack, tmp_path):
    (piece, *_), _ = plan([stack], tmp_path / "out", RECIPE)
    assert known(piece) is None
    line = run_piece(piece, RECIPE)
    assert known(piece) == line
    (longer, *_), _ = plan([stack], tmp_path / "out", Recipe.for_method("cg-sense", steps=4))
    assert longer.output == piece.output and known(longer) is None
    np.savez(stack, kspace=2 * read(stack).kspace)
    (louder, *_), _ = plan([stack], tmp_path / "out", RECIPE)
    assert known(louder) is None


def test_a_damaged_result_is_not_known(stack, tmp_path):
    (piece, *_), _ = plan([stack], tmp_path / "out", RECIPE)
    line = run_piece(piece, RECIPE)
    with open(line.output, "r+b") as file:
        file.truncate(200)
    assert known(piece) is None
    np.savez(line.output, image=np.ones(3))
    assert known(piece) is None


def test_a_slice_that_fails_leaves_a_note_and_no_result(stack, tmp_path):
    kspace = read(stack).kspace.copy()
    kspace[1] = 0
    np.savez(stack, kspace=kspace)
    pieces, _ = plan([stack], tmp_path / "out", RECIPE)
    lines = list(run_here(pieces, RECIPE))
    assert [line.status for line in lines] == ["done", "failed", "done"]
    assert "zero everywhere" in lines[1].why and lines[1].output == ""
    assert known(pieces[1]) == lines[1]
    assert sorted(p.name for p in (tmp_path / "out" / "stack").iterdir()) == [
        "slice_0000.npz",
        "slice_0001.failed.json",
        "slice_0002.npz",
    ]


def test_a_file_that_cannot_be_read_is_one_line(stack, tmp_path):
    bad = tmp_path / "in" / "bad.npz"
    bad.write_bytes(stack.read_bytes()[:300])
    pieces, lines = plan([bad, stack, tmp_path / "none.npy"], tmp_path / "out", RECIPE)
    assert len(pieces) == 3
    assert [(line.file, line.slice, line.status) for line in lines] == [
        (str(bad), None, "failed"),
        (str(tmp_path / "none.npy"), None, "failed"),
    ]
    assert "damaged" in lines[0].why and "does not exist" in lines[1].why


def test_a_file_that_changes_meanwhile_is_told(stack, tmp_path):
    (piece, *_), _ = plan([stack], tmp_path / "out", RECIPE)
    np.savez(stack, kspace=2 * read(stack).kspace)
    assert "has changed since the batch began" in run_piece(piece, RECIPE).why


def test_a_file_is_read_for_its_checksum_once(stack, tmp_path, monkeypatch):
    pieces, _ = plan([stack], tmp_path / "out", RECIPE)
    monkeypatch.setattr(Origin, "of_file", lambda *_, **__: pytest.fail("read again"))
    assert [line.status for line in run_here(pieces, RECIPE)] == ["done"] * 3


def test_files_of_the_same_name_do_not_meet(stack, tmp_path):
    twin = tmp_path / "twin" / "Stack.npz"
    twin.parent.mkdir()
    np.savez(twin, kspace=read(stack).kspace * 3)
    pieces, _ = plan([stack, twin, stack], tmp_path / "out", RECIPE)
    assert len(pieces) == 6 and len({piece.output.lower() for piece in pieces}) == 6


def test_figures_of_merit_where_the_truth_is_known(tmp_path):
    np.savez(tmp_path / "a.npz", images=shepp_logan(24)[None])
    (piece,), _ = plan([tmp_path / "a.npz"], tmp_path / "out", RECIPE)
    line = run_piece(piece, RECIPE)
    assert line.psnr > 40 and line.ssim > 0.99 and line.nmse < 1e-3


def test_summary(tmp_path):
    out = str(tmp_path / "a" / "slice_0000.npz")
    lines = [Line("a.npz", 0, "done", residual=1.25, seconds=2.0, output=out), Line("b, c.npz", None, "failed", "no")]
    with open(write_summary(tmp_path, lines), newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["output"] in ("a/slice_0000.npz", "a\\slice_0000.npz")
    assert (rows[0]["residual"], rows[0]["psnr"], rows[0]["slice"]) == ("1.25", "", "0")
    assert (rows[1]["file"], rows[1]["slice"], rows[1]["status"], rows[1]["why"]) == ("b, c.npz", "", "failed", "no")


def test_contact_sheet_has_a_picture_for_each_line(stack, tmp_path):
    pieces, _ = plan([stack], tmp_path / "out", RECIPE)
    lines = [*run_here(pieces, RECIPE), Line("b.npz", None, "failed", "no")]
    sheet = np.asarray(Image.open(write_contact_sheet(tmp_path / "out", lines)), float) / 255
    assert sheet.shape == (2 * 96 + 2, 2 * 96 + 2)
    with np.load(lines[2].output) as file:
        expected = thumbnail(np.abs(file["image"][0]))
    np.testing.assert_allclose(sheet[98:, :96], expected, atol=1 / 255)
    np.testing.assert_allclose(sheet[98:, 98:], crossed(), atol=1 / 255)
    assert write_contact_sheet(tmp_path, []) is None


def test_thumbnails_keep_the_proportions():
    picture = thumbnail(np.ones((40, 80)), side=20)
    assert picture.shape == (20, 20)
    assert picture[5:15].min() == 1 and picture[:5].max() == 0 and picture[15:].max() == 0
