import hashlib
import importlib.util
import os
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from napari_lossguide.data import samples
from napari_lossguide.data.fourier import ifft2c
from napari_lossguide.data.phantoms import shepp_logan
from napari_lossguide.masks import make_mask
from napari_lossguide.types import InvalidInput


def combined(kdata):
    return np.einsum("scyx,scyx->syx", kdata.maps.conj(), ifft2c(kdata.kspace))


def test_phantom():
    kdata = samples.phantom()
    assert kdata.kspace.shape == (1, 8, 256, 256)
    assert kdata.simulated
    assert not kdata.real
    np.testing.assert_allclose(np.abs(kdata.reference[0]), shepp_logan(256), atol=1e-6)
    error = combined(kdata) - kdata.reference
    assert np.sqrt(np.mean(np.abs(error) ** 2)) == pytest.approx(kdata.noise_std, rel=0.02)


class TestTemplate:
    @pytest.fixture(autouse=True)
    def _needs_nilearn(self):
        pytest.importorskip("nibabel", reason="nibabel (extra `demo`) is not installed: template sample not tested")
        if importlib.util.find_spec("nilearn") is None:
            pytest.skip("nilearn (extra `demo`) is not installed: template sample not tested")

    def test_images(self):
        images = samples.template_images()
        assert images.shape == (3, 208, 176)
        assert images.dtype == np.float32
        assert images.min() == 0
        assert images.max() == 1
        brain = images > 0.1
        # Inside the frame, wider than empty, symmetric left to right.
        assert not brain[:, [0, -1]].any()
        assert not brain[:, :, [0, -1]].any()
        assert 0.3 < brain.mean() < 0.7
        assert all(np.corrcoef(image.ravel(), image[:, ::-1].ravel())[0, 1] > 0.95 for image in images)

    def test_nose_is_up(self):
        # At the level of the temporal lobes the brain is widest behind its middle; the frontal lobes narrow upwards.
        brain = samples.template_images()[1] > 0.1
        rows = np.flatnonzero(brain.any(axis=1))
        quarter = len(rows) // 4
        assert brain[rows[:quarter]].sum() < brain[rows[-quarter:]].sum()

    def test_acquisition(self):
        kdata = samples.template()
        assert kdata.kspace.shape == (3, 8, 208, 176)
        assert kdata.simulated
        assert not kdata.real
        images = samples.template_images()
        np.testing.assert_allclose(np.abs(kdata.reference), images, atol=1e-6)
        noise = (combined(kdata) - kdata.reference).real.std()
        assert images[images > 0.1].mean() / noise == pytest.approx(30, rel=0.02)
        under = kdata.undersample(make_mask("random", kdata.image_shape, acceleration=4))
        assert under.acceleration == pytest.approx(4, rel=0.3)

    def test_a_missing_nilearn_is_named(self, monkeypatch):
        monkeypatch.setattr(samples, "find_spec", lambda name: None)
        with pytest.raises(InvalidInput, match=r"nilearn.*pip install .napari-lossguide\[demo\]"):
            samples.template_images()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path):
    """A web server on this machine; its folder and address."""
    folder = tmp_path / "served"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}/cartesian_ksp.npy"
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def test_sigpy_brain_is_fetched_once_and_then_read_from_the_cache(server, tmp_path, rng):
    folder, url = server
    kspace = (rng.standard_normal((8, 6, 5)) + 1j).astype(np.complex64)
    kspace[:, :, 2] = 0
    np.save(folder / "cartesian_ksp.npy", kspace)
    sha256 = hashlib.sha256((folder / "cartesian_ksp.npy").read_bytes()).hexdigest()
    fetch = partial(samples.sigpy_brain, url, cache=tmp_path / "cache", sha256=sha256)
    first = fetch()
    np.testing.assert_array_equal(first.kspace[0], kspace)
    assert (first.name, first.source) == ("SigPy brain", url)
    assert not first.simulated
    assert not first.acquired[:, 2].any()
    (folder / "cartesian_ksp.npy").unlink()
    np.testing.assert_array_equal(fetch().kspace, first.kspace)


def test_the_real_file_has_the_expected_sha256(server, tmp_path, shared_data):
    folder, url = server
    with np.load(shared_data / "kspace_brain_8ch_undersampled.npz") as file:
        np.save(folder / "cartesian_ksp.npy", file["kspace"])
    kdata = samples.sigpy_brain(url, cache=tmp_path / "cache")
    assert kdata.kspace.shape == (1, 8, 230, 180)
    assert kdata.acceleration == pytest.approx(8.04, abs=0.01)


def test_another_file_is_refused_and_not_kept(server, tmp_path):
    folder, url = server
    (folder / "cartesian_ksp.npy").write_bytes(b"an error page")
    with pytest.raises(InvalidInput, match="another file than expected"):
        samples.sigpy_brain(url, cache=tmp_path / "cache")
    assert os.listdir(tmp_path / "cache") == []


def test_no_such_page_and_no_server(server, tmp_path):
    _, url = server
    with pytest.raises(InvalidInput, match=r"could not be fetched \(HTTPError\); check the network connection"):
        samples.sigpy_brain(url, cache=tmp_path / "cache")
    with pytest.raises(InvalidInput, match=r"could not be fetched \(ConnectionError\).*cartesian_ksp.npy\.$"):
        samples.sigpy_brain("http://127.0.0.1:9/cartesian_ksp.npy", cache=tmp_path / "cache")
    assert os.listdir(tmp_path / "cache") == []
