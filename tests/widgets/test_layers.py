"""Layers on a viewer model: added once, updated in place, found again after renaming."""

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_lossguide.data.display import display_limits
from napari_lossguide.data.fourier import ifft2c, rss
from napari_lossguide.data.kdata import KData
from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.masks import MaskRecipe
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.result import Result
from napari_lossguide.types import InvalidInput
from napari_lossguide.widgets import layers, views
from napari_lossguide.widgets.placement import Place


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def kdata():
    image = shepp_logan(32)
    return simulate(np.stack([image, image[::-1]]), n_coils=3, spacing=(5.0, 2.0, 1.0), name="head")


def show(viewer, value=1.0, **more):
    data = np.full((2, 4, 6), value, np.float32)
    return layers.show_image(viewer, data, name="a", role="image", place=Place((5, 2, 1)), **more)


def test_image_is_placed_in_millimetres(viewer):
    layer = show(viewer)
    assert tuple(layer.scale) == (5, 2, 1)
    assert [str(unit) for unit in layer.units] == ["millimeter"] * 3
    assert layer.axis_labels == ("slice", "y", "x")


def test_second_call_updates_the_same_layer_and_keeps_what_the_person_set(viewer):
    layer = show(viewer, contrast_limits=(0, 2))
    layer.contrast_limits, layer.opacity, layer.name = (0.5, 1.5), 0.3, "my layer"
    again = show(viewer, 7.0, contrast_limits=(0, 20), metadata={"seed": 3})
    assert again is layer
    assert len(viewer.layers) == 1
    assert (layer.data == 7).all()
    assert layer.contrast_limits == [0.5, 1.5]
    assert (layer.opacity, layer.name) == (0.3, "my layer")
    assert views.held(layer)["seed"] == 3


def test_renew_sets_contrast_beyond_the_old_range(viewer):
    layer = show(viewer, contrast_limits=(0, 2))
    show(viewer, 500.0, contrast_limits=(-100, 700), colormap="twilight_shifted", renew=True)
    assert layer.contrast_limits == [-100, 700]
    assert layer.contrast_limits_range == [-100, 700]
    assert layer.colormap.name == "twilight_shifted"


def test_another_number_of_axes_replaces_the_layer(viewer):
    old = show(viewer)
    new = layers.show_image(viewer, np.ones((4, 6), np.float32), name="a", role="image", place=Place((5, 2, 1)))
    assert old not in viewer.layers
    assert tuple(new.scale) == (2, 1)


def test_a_single_slice_is_seen_wherever_the_slider_stands(viewer):
    viewer.add_image(np.zeros((9, 4, 6)))
    viewer.dims.set_point(0, 7)
    layer = layers.show_image(viewer, np.ones((1, 4, 6), np.float32), name="a", role="image", place=Place((5, 2, 1)))
    assert layer.data.shape == (4, 6)
    assert tuple(layer.scale) == (2, 1)
    preview = layers.update_preview(
        viewer, np.ones((4, 6), np.float32), name="p", slice_index=0, n_slices=1, place=Place((5, 2, 1))
    )
    again = layers.update_preview(
        viewer, np.full((4, 6), 3, np.float32), name="p", slice_index=0, n_slices=1, place=Place((5, 2, 1))
    )
    assert again is preview
    assert (preview.data == 3).all()


def test_a_simulation_beside_pixels_is_in_pixels(viewer, kdata):
    viewer.add_image(np.zeros((32, 32)))
    for layer in layers.add_kspace(viewer, kdata):
        assert {str(unit) for unit in layer.units} == {"pixel"}
    measured = layers.show_kspace(viewer, KData.from_array(kdata.kspace, name="scan"))
    assert {str(unit) for unit in measured.units} == {"millimeter"}


def test_roles_and_strangers_are_told_apart(viewer):
    stranger = viewer.add_image(np.zeros((4, 6)), name="a")
    show(viewer)
    layers.show_image(viewer, np.ones((4, 6), np.float32), name="a", role="psf", place=Place())
    assert len(viewer.layers) == 3
    assert (stranger.data == 0).all()


def test_add_kspace_shows_both_sides_of_the_transform(viewer, kdata):
    kspace, image = layers.add_kspace(viewer, kdata)
    assert [layer.name for layer in viewer.layers] == ["k-space: head (simulation)", "image: head (simulation)"]
    assert views.kdata_of(kspace) is kdata
    assert views.kdata_of(image) is kdata
    assert kspace.data.max() == 0  # dB relative to the maximum
    np.testing.assert_allclose(image.data, rss(ifft2c(kdata.kspace)), rtol=1e-5)
    assert tuple(image.scale) == (5, 2, 1)
    assert views.held(image)["simulated"] is True


def test_measured_data_are_not_called_a_simulation(kdata):
    measured = KData.from_array(kdata.kspace, name="scan")
    assert views.picture_name(measured, "image") == "image: scan"


def test_change_of_view_and_coil(viewer, kdata):
    _, image = layers.add_kspace(viewer, kdata)
    layers.show_coil_image(viewer, kdata, "phase", coil=2)
    np.testing.assert_allclose(image.data, np.angle(ifft2c(kdata.kspace[:, 2])), atol=1e-5)
    assert image.contrast_limits == pytest.approx(display_limits(image.data, "phase"))
    assert image.colormap.name == "twilight_shifted"
    layers.show_coil_image(viewer, kdata, "magnitude", coil=0)
    assert image.colormap.name == "gray"
    assert views.held(image)["coil"] == 0
    assert views.held(image)["view"] == "magnitude"


def test_another_coil_keeps_the_contrast(viewer, kdata):
    _, image = layers.add_kspace(viewer, kdata)
    image.contrast_limits = (0.1, 0.2)
    layers.show_coil_image(viewer, kdata, "magnitude", coil=1)
    assert image.contrast_limits == pytest.approx([0.1, 0.2])


@pytest.mark.parametrize(("kind", "coil", "words"), [("phase", None, "combined"), ("magnitude", 3, "coils 0 to 2")])
def test_pictures_that_do_not_exist(kdata, kind, coil, words):
    for picture in (views.kspace_picture, views.image_picture):
        with pytest.raises(InvalidInput, match=words):
            picture(kdata, kind, coil)


def test_mask_layer_holds_its_recipe_until_it_is_drawn_on(viewer):
    recipe = MaskRecipe.of("random", acceleration=2.0, seed=4)
    mask = recipe.make((16, 32))
    layer = layers.show_mask(viewer, mask, name="mask", place=Place(), recipe=recipe)
    np.testing.assert_array_equal(views.mask_of(layer), mask)
    assert views.mask_recipe_of(layer) == recipe
    layer.data[3, :] = 5
    drawn = views.mask_recipe_of(layer)
    assert drawn.kind == "drawn"
    np.testing.assert_array_equal(drawn.make((16, 32)), layer.data != 0)
    layers.mark_drawn(layer)
    assert "mask" not in views.held(layer)


def test_mask_is_updated_in_place(viewer):
    first = layers.show_mask(viewer, np.eye(4, dtype=bool), name="mask", place=Place())
    second = layers.show_mask(viewer, np.ones((4, 4), bool), name="mask", place=Place())
    assert first is second
    assert (first.data == 1).all()


def test_masks_that_cannot_be_used(viewer):
    stack = viewer.add_labels(np.stack([np.eye(4, dtype=int), np.ones((4, 4), int)]))
    with pytest.raises(InvalidInput, match="slice to slice"):
        views.mask_of(stack)
    with pytest.raises(InvalidInput, match="empty"):
        views.mask_of(viewer.add_labels(np.zeros((4, 4), int)))
    np.testing.assert_array_equal(views.mask_of(viewer.add_labels(np.eye(4, dtype=int)[None])), np.eye(4) == 1)


def test_zero_filled_of_one_slice(kdata):
    mask = np.zeros((32, 32), bool)
    mask[:, 8:24] = True
    expected = rss(ifft2c(kdata.kspace * mask))[1]
    np.testing.assert_allclose(views.zero_filled(kdata, mask, 1), expected, rtol=1e-5)


def test_a_result_carries_what_is_needed_to_run_it_again(viewer, kdata):
    image = np.full((2, 32, 32), 3 + 4j, np.complex64)
    result = Result(
        image=image,
        zero_filled=image,
        mask=kdata.acquired,
        maps=kdata.maps,
        samples=None,
        mean=None,
        std=None,
        recipe=Recipe.for_method("zero-filled", seed=5),
        trace=(),
        status="done",
        seconds=1.0,
        nfe=0,
        residual=1.0,
        noise_std=0.0,
        scale=(1.0, 1.0),
        provenance={"device": "cpu"},
        simulated=True,
    )
    layer = layers.add_result(viewer, result, "first", place=Place.of(kdata))
    assert layer.data.max() == 5
    assert tuple(layer.scale) == kdata.spacing
    assert views.result_of(layer) is result
    assert views.role_of(layer) == "result"
    assert Recipe.from_json(views.held(layer)["recipe"]) == result.recipe
    assert (views.held(layer)["seed"], views.held(layer)["device"]) == (5, "cpu")
    layers.add_result(viewer, result, "second", place=Place.of(kdata))
    assert [x.name for x in viewer.layers] == ["first", "second"]


def test_preview_writes_into_its_slice(viewer):
    place = {"name": "preview", "n_slices": 3, "place": Place()}
    layer = layers.update_preview(viewer, np.ones((4, 5), np.float32), slice_index=0, **place)
    again = layers.update_preview(viewer, np.full((4, 5), 2, np.float32), slice_index=2, **place)
    assert again is layer
    assert [plane.max() for plane in layer.data] == [1, 0, 2]
    layers.remove_layer(viewer, "preview", "preview")
    assert not viewer.layers
    layers.remove_layer(viewer, "preview", "preview")
