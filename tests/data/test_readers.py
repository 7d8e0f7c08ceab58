import os
import pickle

import h5py
import nibabel
import numpy as np
import pytest

from napari_lossguide.data.fourier import fft2c, ifft2c
from napari_lossguide.data.image_readers import read_image, read_mask
from napari_lossguide.data.readers import open_scan, read
from napari_lossguide.data.writers import write_npz
from napari_lossguide.types import InvalidInput

HEADER = """<?xml version="1.0"?>
<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><encoding><encodedSpace>
<matrixSize><x>6</x><y>4</y><z>1</z></matrixSize>
<fieldOfView_mm><x>3</x><y>8</y><z>5</z></fieldOfView_mm>
</encodedSpace></encoding></ismrmrdHeader>"""


@pytest.fixture
def kspace(rng) -> np.ndarray:
    return (rng.standard_normal((2, 3, 6, 4)) + 1j * rng.standard_normal((2, 3, 6, 4))).astype(np.complex64)


def fastmri(path, **datasets):
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file[name] = values
    return path


class TestNumpyFiles:
    @pytest.mark.parametrize("index", [(), (0,), (0, 0)])
    def test_npy(self, tmp_path, kspace, index):
        np.save(tmp_path / "scan.npy", kspace[index])
        kdata = read(tmp_path / "scan.npy")
        np.testing.assert_array_equal(kdata.kspace.reshape(kspace[index].shape), kspace[index])
        assert (kdata.name, kdata.source) == ("scan", str(tmp_path / "scan.npy"))
        assert not kdata.simulated
        assert not kdata.real

    def test_npz_with_everything(self, tmp_path, kspace):
        mask = np.zeros((6, 4), bool)
        mask[:, 1:3] = True
        np.savez(tmp_path / "a.npz", kspace=kspace, mask=mask, maps=kspace, spacing=[4.0, 0.5, 0.6])
        kdata = read(tmp_path / "a.npz")
        np.testing.assert_array_equal(kdata.acquired, mask)
        np.testing.assert_array_equal(kdata.kspace, kspace * mask)
        np.testing.assert_array_equal(kdata.maps, kspace)
        assert kdata.spacing == (4.0, 0.5, 0.6)

    def test_pixel_mm_is_the_in_plane_size(self, tmp_path, kspace):
        np.savez(tmp_path / "a.npz", kspace=kspace, pixel_mm=0.9)
        assert read(tmp_path / "a.npz").spacing == (1.0, 0.9, 0.9)
        np.savez(tmp_path / "a.npz", kspace=kspace, pixel_mm=[0.9, 0.8])
        assert read(tmp_path / "a.npz").spacing == (1.0, 0.9, 0.8)

    def test_the_suffix_does_not_matter(self, tmp_path, kspace):
        np.savez(tmp_path / "a.npz", kspace=kspace)
        os.rename(tmp_path / "a.npz", tmp_path / "a.dat")
        assert read(tmp_path / "a.dat").n_coils == 3

    def test_the_only_array_needs_no_name(self, tmp_path, kspace):
        np.savez(tmp_path / "a.npz", kspace)
        np.testing.assert_array_equal(read(tmp_path / "a.npz").kspace, kspace)

    def test_real_says_that_it_is_a_simulation_of_a_real_image(self, tmp_path, kspace):
        np.save(tmp_path / "a.npy", kspace)
        kdata = read(tmp_path / "a.npy", real=True)
        assert kdata.real
        assert kdata.simulated

    def test_images_are_simulated(self, tmp_path, rng):
        images = rng.uniform(size=(2, 6, 5)).astype(np.float16)
        np.savez(tmp_path / "a.npz", images=images, pixel_mm=0.9)
        kdata = read(tmp_path / "a.npz")
        assert kdata.simulated
        assert kdata.real
        assert kdata.n_coils == 1
        assert kdata.spacing == (1.0, 0.9, 0.9)
        np.testing.assert_allclose(kdata.kspace[:, 0], fft2c(images.astype(np.float32)), atol=1e-6)
        np.testing.assert_array_equal(kdata.reference, images)

    def test_bytes_are_divided_by_255_and_other_types_kept(self, tmp_path):
        for dtype, scale in ((np.uint8, 255), (np.int16, 1), (np.float64, 1)):
            images = np.arange(30).reshape(1, 6, 5).astype(dtype)
            np.savez(tmp_path / "a.npz", images=images)
            np.testing.assert_allclose(read(tmp_path / "a.npz").reference, images / scale, rtol=1e-6)

    def test_a_named_variable(self, tmp_path, kspace):
        np.savez(tmp_path / "a.npz", other=kspace, hu=np.arange(24).reshape(6, 4), third=1)
        np.testing.assert_array_equal(read(tmp_path / "a.npz", variable="other").kspace, kspace)
        simulation = read(tmp_path / "a.npz", variable="hu")
        assert simulation.simulated
        np.testing.assert_array_equal(simulation.reference[0], np.arange(24).reshape(6, 4))
        np.save(tmp_path / "b.npy", np.arange(24).reshape(6, 4))
        assert read(tmp_path / "b.npy", variable="images").simulated


class TestFastMRI:
    def test_multicoil(self, tmp_path, kspace):
        path = fastmri(tmp_path / "a.h5", kspace=kspace, mask=np.array([1.0, 0, 1, 1]), ismrmrd_header=HEADER)
        kdata = read(path)
        assert kdata.kspace.shape == (2, 3, 6, 4)
        np.testing.assert_array_equal(kdata.acquired, np.tile([True, False, True, True], (6, 1)))
        assert not kdata.kspace[..., 1].any()
        assert kdata.spacing == (5.0, 0.5, 2.0)
        assert kdata.reference is None

    def test_singlecoil_has_slices_first(self, tmp_path, kspace):
        kdata = read(fastmri(tmp_path / "a.h5", kspace=kspace[:, 0]))
        assert kdata.kspace.shape == (2, 1, 6, 4)
        np.testing.assert_array_equal(kdata.kspace[:, 0], kspace[:, 0])
        assert kdata.spacing == (1.0, 1.0, 1.0)

    @pytest.mark.parametrize("name", ["reconstruction_rss", "reconstruction_esc"])
    def test_reference_only_if_it_has_the_same_size(self, tmp_path, kspace, name, rng):
        image = rng.uniform(size=(2, 6, 4)).astype(np.float32)
        kdata = read(fastmri(tmp_path / "a.h5", kspace=kspace, **{name: image}))
        np.testing.assert_array_equal(kdata.reference, image)
        assert read(fastmri(tmp_path / "b.h5", kspace=kspace, **{name: image[:, :4]})).reference is None

    def test_damaged_header(self, tmp_path, kspace):
        for header in (HEADER[:200], HEADER.replace("<x>6</x>", "<x>0</x>"), HEADER.replace("<y>8</y>", "")):
            with pytest.raises(InvalidInput, match=r"ismrmrd_header in .*a\.h5 is damaged"):
                read(fastmri(tmp_path / "a.h5", kspace=kspace, ismrmrd_header=header))

    def test_without_kspace_its_arrays_are_named(self, tmp_path):
        path = fastmri(tmp_path / "a.h5", first=np.ones(3), second=np.ones(3))
        with pytest.raises(InvalidInput, match="no array named kspace or images; its arrays are: first, second"):
            read(path)


class TestBadFiles:
    def test_missing_folder_and_unknown(self, tmp_path):
        with pytest.raises(InvalidInput, match=r"a\.npy does not exist"):
            read(tmp_path / "a.npy")
        with pytest.raises(InvalidInput, match=r"is a folder; accepted are \.npy, \.npz, .* and .* files"):
            read(tmp_path)
        for content in (b"", b"hello, this is no k-space"):
            (tmp_path / "a.npy").write_bytes(content)
            with pytest.raises(InvalidInput, match=r"a\.npy is of another kind; accepted are"):
                read(tmp_path / "a.npy")

    @pytest.mark.parametrize("suffix", ["npy", "npz", "h5"])
    def test_truncated_anywhere(self, tmp_path, kspace, suffix):
        path = tmp_path / f"a.{suffix}"
        if suffix == "npy":
            np.save(path, kspace)
        elif suffix == "npz":
            np.savez(path, kspace=kspace)
        else:
            fastmri(path, kspace=kspace)
        whole = path.read_bytes()
        for length in np.linspace(8, len(whole) - 1, 40).astype(int):
            path.write_bytes(whole[:length])
            with pytest.raises(InvalidInput, match=f"a.{suffix} could not be read; it is damaged or incomplete"):
                read(path)

    def test_garbled_headers(self, tmp_path, kspace):
        np.save(tmp_path / "a.npy", kspace)
        whole = (tmp_path / "a.npy").read_bytes()
        for old, new in ((b"'<c8'", b"'zz9'"), (b"}", b"{"), (b"(2, 3", b"(2,(3"), (b"(2, ", b"(-2,")):
            assert old in whole
            (tmp_path / "a.npy").write_bytes(whole.replace(old, new, 1))
            with pytest.raises(InvalidInput, match="damaged or incomplete"):
                read(tmp_path / "a.npy")

    def test_a_header_that_claims_too_much(self, tmp_path):
        np.save(tmp_path / "a.npy", np.ones((2, 22), np.complex64))
        whole = (tmp_path / "a.npy").read_bytes()
        claim = whole.replace(b"(2, 22), }" + b" " * 12, b"(99999999, 99999999), }"[:22].ljust(22), 1)
        (tmp_path / "a.npy").write_bytes(claim)
        with pytest.raises(InvalidInput, match=r"needs more memory|damaged"):
            read(tmp_path / "a.npy")

    def test_pickles_are_never_loaded(self, tmp_path):
        marker = tmp_path / "ran"

        class Evil:
            def __reduce__(self):
                return os.mkdir, (str(marker),)

        np.save(tmp_path / "a.npy", np.array([Evil()], dtype=object), allow_pickle=True)
        np.savez(tmp_path / "a.npz", kspace=np.array([Evil()], dtype=object))
        (tmp_path / "a.pkl").write_bytes(pickle.dumps(Evil()))
        for name in ("a.npy", "a.npz", "a.pkl"):
            for reader in (read, read_image, lambda path: read_mask(path, (6, 4))):
                with pytest.raises(InvalidInput, match=name):
                    reader(tmp_path / name)
        assert not marker.exists()

    def test_real_valued_kspace(self, tmp_path, kspace):
        np.savez(tmp_path / "scan.npz", kspace=kspace.real)
        with pytest.raises(InvalidInput, match=r"k-space of scan has real values .float32., which looks like an image"):
            read(tmp_path / "scan.npz")
        np.save(tmp_path / "scan.npy", kspace.real)
        with pytest.raises(InvalidInput, match="looks like an image"):
            read(tmp_path / "scan.npy")

    def test_nan(self, tmp_path, kspace):
        kspace[0, 0, 0, 0] = np.nan
        np.savez(tmp_path / "scan.npz", kspace=kspace)
        with pytest.raises(InvalidInput, match="scan holds NaN"):
            read(tmp_path / "scan.npz")

    def test_no_usable_array(self, tmp_path, kspace):
        np.savez(tmp_path / "a.npz", hu=np.ones((2, 2)), mask=np.ones((2, 2)))
        with pytest.raises(
            InvalidInput, match=r"a\.npz holds no array named kspace or images; its arrays are: hu, mask"
        ):
            read(tmp_path / "a.npz")
        with pytest.raises(InvalidInput, match="no array named nothing"):
            read(tmp_path / "a.npz", variable="nothing")
        np.savez(tmp_path / "a.npz", kspace=kspace, mask=np.ones((4, 6)))
        with pytest.raises(InvalidInput, match=r"mask of a has shape \(4, 6\)"):
            read(tmp_path / "a.npz")
        np.savez(tmp_path / "a.npz", kspace=kspace, spacing=[1, 2, 3, 4])
        with pytest.raises(InvalidInput, match=r"pixel size in .*a\.npz"):
            read(tmp_path / "a.npz")
        np.savez(tmp_path / "a.npz", kspace=np.array("text"))
        with pytest.raises(InvalidInput, match="real values"):
            read(tmp_path / "a.npz")

    def test_complex_images_are_not_real(self, tmp_path, kspace):
        np.savez(tmp_path / "a.npz", images=kspace[:, 0])
        assert not read(tmp_path / "a.npz").real
        with pytest.raises(InvalidInput, match=r"images in .* are complex"):
            read(tmp_path / "a.npz", real=True)


class TestMasks:
    def test_npy_npz_and_h5(self, tmp_path):
        mask = np.eye(6, 4, dtype=bool)
        np.save(tmp_path / "a.npy", mask.astype(np.uint8))
        np.savez(tmp_path / "a.npz", kspace=np.ones(3), mask=mask)
        np.savez(tmp_path / "b.npz", whatever=mask)
        fastmri(tmp_path / "a.h5", mask=mask, other=mask)
        for name in ("a.npy", "a.npz", "b.npz", "a.h5"):
            read_back = read_mask(tmp_path / name, (6, 4))
            assert read_back.dtype == bool
            np.testing.assert_array_equal(read_back, mask)

    def test_bad_masks(self, tmp_path):
        path = tmp_path / "m.npy"
        np.save(path, np.ones((4, 6)))
        with pytest.raises(
            InvalidInput, match=r"The mask in .*m\.npy has shape \(4, 6\), but the k-space has \(6, 4\)"
        ):
            read_mask(path, (6, 4))
        np.save(path, np.zeros((6, 4)))
        with pytest.raises(InvalidInput, match=r"m\.npy is empty"):
            read_mask(path, (6, 4))
        np.savez(tmp_path / "a.npz", a=np.ones(3), b=np.ones(3))
        with pytest.raises(InvalidInput, match="no array named mask or acquired; its arrays are: a, b"):
            read_mask(tmp_path / "a.npz", (6, 4))


class TestImages:
    def test_what_is_read_first(self, tmp_path, rng):
        image, mean = rng.uniform(size=(2, 6, 4)), rng.uniform(size=(2, 6, 4))
        np.savez(tmp_path / "a.npz", mean=mean, image=image, kspace=mean)
        np.testing.assert_allclose(read_image(tmp_path / "a.npz"), image, rtol=1e-6)
        np.savez(tmp_path / "a.npz", mean=mean[0], kspace=image)
        np.testing.assert_allclose(read_image(tmp_path / "a.npz"), mean[:1], rtol=1e-6)
        fastmri(tmp_path / "a.h5", reconstruction_rss=image, kspace=mean)
        np.testing.assert_allclose(read_image(tmp_path / "a.h5"), image, rtol=1e-6)

    def test_types(self, tmp_path):
        for dtype, expected, scale in ((complex, np.complex64, 1), (float, np.float32, 1), (np.uint8, np.float32, 255)):
            np.save(tmp_path / "a.npy", np.arange(12).reshape(3, 4).astype(dtype))
            image = read_image(tmp_path / "a.npy")
            assert image.dtype == expected
            np.testing.assert_allclose(image, np.arange(12).reshape(1, 3, 4) / scale, rtol=1e-6)

    @pytest.mark.parametrize(
        ("array", "message"),
        [(np.ones(3), r"shape \(3,\)"), (np.full((3, 4), np.nan), "NaN"), (np.full((3, 4), "a"), "type <U1")],
    )
    def test_bad_images(self, tmp_path, array, message):
        np.save(tmp_path / "a.npy", array)
        with pytest.raises(InvalidInput, match=message):
            read_image(tmp_path / "a.npy")


class TestSharedData:
    def test_brain_8ch(self, shared_data):
        kdata = read(shared_data / "kspace_brain_8ch_undersampled.npz")
        assert kdata.kspace.shape == (1, 8, 230, 180)
        assert kdata.acquired.mean() == pytest.approx(0.124, abs=0.001)
        assert not kdata.simulated

    def test_sagittal_1ch(self, shared_data):
        kdata = read(shared_data / "kspace_brain_sagittal_1ch.npz")
        assert kdata.kspace.shape == (1, 1, 256, 256)
        image = np.abs(ifft2c(kdata.kspace))[0, 0]
        # The head is in the middle, air at the border.
        assert image[96:160, 96:160].mean() > 5 * image[:16].mean()

    def test_validation_images(self, shared_data):
        kdata = read(shared_data / "validation_brain_t1_t2_flair_256.npz")
        assert kdata.kspace.shape == (24, 1, 256, 256)
        assert kdata.real
        assert kdata.spacing == (1.0, 0.9, 0.9)
        assert 0.9 < kdata.reference.max() < 1.5


def test_where_the_scan_lay_is_kept_by_files_and_by_slices(tmp_path):
    affine = np.array([[0, 0, -1, 90], [0, -1.5, 0, 70], [4, 0, 0, -20], [0, 0, 0, 1.0]])
    volume = nibabel.Nifti1Image(np.ones((6, 5, 3), np.float32), affine[:, [2, 1, 0, 3]])
    nibabel.save(volume, tmp_path / "head.nii")
    data = read(tmp_path / "head.nii")
    np.testing.assert_allclose(data.affine, affine)
    assert data.position == (-20, -70, -90)
    one = open_scan(tmp_path / "head.nii").read_slice(2)
    np.testing.assert_allclose(one.affine, data.select(2).affine)
    write_npz(tmp_path / "again.npz", data.arrays())
    np.testing.assert_array_equal(read(tmp_path / "again.npz").affine, data.affine)
    np.testing.assert_allclose(open_scan(tmp_path / "again.npz").read_slice(2).affine, one.affine)


@pytest.mark.parametrize("kind", ["kspace", "images"])
def test_the_pixel_size_is_that_of_the_affine_where_nothing_else_says_it(tmp_path, kind):
    affine = np.array([[0, 0, -1.0, 90], [0, -1.5, 0, 70], [4, 0, 0, -20], [0, 0, 0, 1]])
    np.savez(tmp_path / "a.npz", **{kind: np.ones((2, 6, 5), complex if kind == "kspace" else float), "affine": affine})
    data = open_scan(tmp_path / "a.npz").read() if kind == "kspace" else open_scan(tmp_path / "a.npz").read_slice(1)
    assert data.spacing == (4, 1.5, 1)
    np.testing.assert_allclose(data.affine[:3, 3], [90, 70, -20 if kind == "kspace" else -16])
