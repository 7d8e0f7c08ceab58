"""The convergence plot: what is drawn, and where the marks are."""

import itertools
import math

import numpy as np
import pyqtgraph
import pytest

from napari_lossguide.recon.live import Change
from napari_lossguide.widgets.curve import Curve
from napari_lossguide.widgets.worker import Point


def point(step, index=0, residual=1.0, loss=0.1, sigma=1.0):
    return Point(step, 20, index, 2, sigma, residual, loss, step, "", {}, {})


@pytest.fixture
def curve(qtbot):
    widget = Curve()
    qtbot.addWidget(widget)
    return widget


def drawn(curve):
    return curve._line.getData()


def test_residuals_are_drawn_on_a_log_axis(curve):
    curve.add([point(1, residual=100.0), point(2, residual=1.0)])
    x, y = drawn(curve)
    np.testing.assert_allclose(x, [1, 2])
    np.testing.assert_allclose(y, [2, 0])


def test_without_a_noise_level_the_loss_is_drawn(curve):
    curve.add([point(1, residual=math.nan, loss=0.01)])
    assert curve._quantity.currentData() == "loss"
    np.testing.assert_allclose(drawn(curve)[1], [-2])


def test_slices_are_not_joined(curve):
    curve.add([point(1), point(2), point(3, index=1)])
    np.testing.assert_allclose(drawn(curve)[0], [1, 2, np.nan, 3])


def test_over_sigma_the_axis_falls(curve):
    curve._over.setCurrentIndex(curve._over.findData("sigma"))
    curve.add([point(1, sigma=10.0), point(2, sigma=0.1), point(3, sigma=math.nan)])
    np.testing.assert_allclose(drawn(curve)[0], [1, -1, np.nan])
    assert curve._plot.getPlotItem().getViewBox().state["xInverted"]


def test_marks_stand_at_the_step_of_the_change(curve):
    """Changes count from 0, steps from 1; one that did not come yet is not drawn; neighbours share a label."""
    changes = [Change(step=s, name="guidance.gamma", value=v) for s, v in ((3, 2.0), (4, 3.0), (15, 9.0))]
    curve.add([point(s) for s in range(1, 9)], changes)
    assert curve.marks == [(4, "gamma 2"), (5, "gamma 3")]
    assert len(curve._marks.points()) == 2
    assert [label.toPlainText() for label in curve._labels] == ["gamma 3"]


def test_clear_forgets(curve):
    curve.add([point(1)], [Change(step=0, name="a.b", value=1.0)])
    curve.clear()
    assert not curve.marks and len(drawn(curve)[0] if drawn(curve)[0] is not None else []) == 0


@pytest.mark.parametrize("over", ["step", "sigma"])
def test_labels_of_marks_stay_within_the_plot_and_off_each_other(curve, qtbot, over):
    curve.resize(300, 180)
    curve.show()
    curve._over.setCurrentIndex(curve._over.findData(over))
    heights = {1: 500.0, 8: 400.0, 20: 2.0}  # at both edges, at the top and at the bottom
    points = [point(s, residual=heights.get(s, 30.0), sigma=10.0 / s) for s in range(1, 21)]
    changes = [Change(step=s - 1, name=f"losses.{s}.weight", value=0.25) for s in heights]
    curve.add(points, changes)
    qtbot.wait(50)
    curve.add([], changes)  # drawn again, now that the plot has its size, as at the next step
    assert [label.toPlainText() for label in curve._labels] == [f"loss {s + 1} weight 0.25" for s in heights]
    plot = curve._plot.getViewBox().sceneBoundingRect().adjusted(-1, -1, 1, 1)
    places = [label.mapRectToScene(label.boundingRect()) for label in curve._labels]
    assert all(plot.contains(place) for place in places), (plot, places)
    assert not any(a.intersects(b) for i, a in enumerate(places) for b in places[:i])


@pytest.mark.parametrize("residuals", [(100, 0.8), (3, 0.9), (1e5, 1), (2e3, 1e-3)])
@pytest.mark.parametrize("over", ["step", "sigma"])
def test_labels_do_not_touch_in_a_low_plot(qtbot, curve, residuals, over):
    curve.resize(300, 110)
    curve.show()
    curve._over.setCurrentIndex(curve._over.findData(over))
    curve.add([point(i + 1, residual=r, sigma=10 / (i + 1)) for i, r in enumerate(np.geomspace(*residuals, 50))])
    qtbot.wait(50)
    view, metrics = curve._plot.getViewBox(), curve._plot.fontMetrics()
    vertical, horizontal = (curve._plot.getAxis(side)._tickLevels for side in ("left", "bottom"))
    assert len(vertical[0]) >= 2
    places = sorted(view.mapViewToScene(pyqtgraph.Point(0, value)).y() for value, _ in vertical[0])
    assert (np.diff(places) >= metrics.height()).all()
    if over == "step":
        assert horizontal is None
        return
    assert len(horizontal[0]) >= 3
    ends = sorted(
        (view.mapViewToScene(pyqtgraph.Point(value, 0)).x(), metrics.horizontalAdvance(text))
        for value, text in horizontal[0]
    )
    assert all(b[0] - a[0] > (a[1] + b[1]) / 2 for a, b in itertools.pairwise(ends))
