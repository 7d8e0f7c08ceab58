"""ISMRMRD files that are written line by line, and what the tests of their reader share."""

import ismrmrd
import numpy as np

from napari_lossguide.data.fourier import fft2c, ifft2c

NY, NX, COILS = 12, 16, 3  # of the images; lines have twice the samples
LIMIT = """<{0}><minimum>0</minimum><maximum>{1}</maximum><center>{2}</center></{0}>"""


def header(
    matrix=(1, NY, 2 * NX), recon=(1, NY, NX), limits=None, trajectory="cartesian", encodings=1, bandwidth=None
) -> str:
    def space(name, size, fov):
        axes = list(zip("xyz", size[::-1], fov[::-1], strict=True))
        points = "".join(f"<{a}>{n}</{a}>" for a, n, _ in axes)
        mm = "".join(f"<{a}>{f}</{a}>" for a, _, f in axes)
        return f"<{name}><matrixSize>{points}</matrixSize><fieldOfView_mm>{mm}</fieldOfView_mm></{name}>"

    dz = 5.0
    lines = "".join(
        LIMIT.format(f"kspace_encoding_step_{axis}", size - 1, centre)
        for axis, (size, centre) in (limits or {1: (matrix[1], matrix[1] // 2)}).items()
    )
    one = (
        "<encoding>"
        + space("encodedSpace", matrix, (dz * matrix[0], 3.0 * matrix[1], 2.0 * matrix[2]))
        + space("reconSpace", recon, (dz * recon[0], 3.0 * recon[1], 2.0 * recon[2]))
        + f"<encodingLimits>{lines}</encodingLimits><trajectory>{trajectory}</trajectory></encoding>"
    )
    system = (
        f"<acquisitionSystemInformation><relativeReceiverNoiseBandwidth>{bandwidth}</relativeReceiverNoiseBandwidth>"
        "</acquisitionSystemInformation>"
        if bandwidth
        else ""
    )
    return (
        f'<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">{system}<experimentalConditions><H1resonanceFrequency_Hz>'
        f"63500000</H1resonanceFrequency_Hz></experimentalConditions>{one * encodings}</ismrmrdHeader>"
    )


def line(samples, step1=0, flags=(), centre=None, dwell=5.0, position=(0, 0, 0), directions=True, **idx):
    """An acquisition of (coil, sample)."""
    acq = ismrmrd.Acquisition()
    acq.resize(samples.shape[1], samples.shape[0])
    acq.data[:] = samples
    acq.center_sample = samples.shape[1] // 2 if centre is None else centre
    acq.idx.kspace_encode_step_1, acq.sample_time_us = step1, dwell
    for name, value in idx.items():
        if name == "encoding":
            acq.encoding_space_ref = value
        else:
            setattr(acq.idx, name, value)
    acq.position[:] = position
    if directions:
        acq.read_dir[:], acq.phase_dir[:], acq.slice_dir[:] = (1, 0, 0), (0, 1, 0), (0, 0, 1)
    for flag in flags:
        acq.set_flag(flag)
    return acq


def write(path, acquisitions, xml=None, name="dataset"):
    dataset = ismrmrd.Dataset(str(path), name, create_if_needed=True)
    dataset.write_xml_header((xml or header()).encode())
    for acquisition in acquisitions:
        dataset.append_acquisition(acquisition)
    dataset.close()
    return path


def oversampled(image):
    """K-space of an image (coil, ny, nx) with air on both sides, as a scanner samples it: (coil, ny, 2 nx)."""
    nx = image.shape[-1]
    wide = np.zeros((*image.shape[:-1], 2 * nx), complex)
    wide[..., nx - nx // 2 : 2 * nx - nx // 2] = image
    return fft2c(wide).astype(np.complex64)


def lines(kspace, **same):
    return [line(kspace[:, y], y, **same) for y in range(kspace.shape[1])]


def draw(rng, *shape):
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


def images_of(data):
    return ifft2c(data.kspace)


def close(actual, expected, tolerance=1e-5):
    np.testing.assert_allclose(actual, expected, atol=tolerance * np.abs(expected).max(), rtol=0)


def volume_lines(volume, keep=lambda z, y: True):
    """Acquisitions of a volume (coil, nz, ny, nx), and its k-space."""
    axes = (1, 2, 3)
    shifted = np.fft.ifftshift(volume, axes=axes)
    kspace = np.fft.fftshift(np.fft.fftn(shifted, axes=axes, norm="ortho"), axes=axes)
    nz, ny = volume.shape[1:3]
    return [
        line(kspace[:, z, y], y, kspace_encode_step_2=z, position=(1, 2, 3))
        for z in range(nz)
        for y in range(ny)
        if keep(z, y)
    ], kspace
