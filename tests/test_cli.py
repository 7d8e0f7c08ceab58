"""The shell, with the real engine on tiny problems: exit codes, one-line errors, recipes, files whole or absent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from shell import error_of, make_prior, start

from napari_lossguide import __version__
from napari_lossguide.cli import main
from napari_lossguide.data.fourier import fft2c
from napari_lossguide.data.phantoms import shepp_logan, simulate
from napari_lossguide.data.readers import read
from napari_lossguide.operators.walsh import walsh_maps

SIZE = 32


@pytest.fixture
def one_coil(tmp_path: Path) -> Path:
    """k-space (ny, nx) of a phantom, fully sampled, with a little noise."""
    path = tmp_path / "scan.npy"
    np.save(path, simulate(shepp_logan(SIZE), noise_std=0.01, seed=1).kspace[0, 0])
    return path


def read_terminal(ours: int) -> bytes:
    """What was written to the other side, or nothing when the process has ended."""
    try:
        return os.read(ours, 4096)
    except OSError:  # Linux's way to say end of file
        return b""


# recon ----------------------------------------------------------------------------------------------------------------


def test_zero_filled_of_fully_sampled_data_is_the_image(one_coil: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.npz"
    assert main(["recon", str(one_coil), "-o", str(out), "--method", "zero-filled"]) == 0
    with np.load(out, allow_pickle=False) as file:
        assert file["image"].dtype == np.complex64
        assert file["image"].shape == (1, SIZE, SIZE)
        assert file["zero_filled"].shape == (1, SIZE, SIZE)
        assert file["mask"].shape == (SIZE, SIZE) and file["mask"].all()
        assert file["maps"].shape == (1, 1, SIZE, SIZE)
        assert "samples" not in file.files
        assert json.loads(str(file["recipe"]))["method"] == "zero-filled"
        assert np.abs(file["image"][0] - shepp_logan(SIZE)).max() < 0.05
        np.testing.assert_allclose(fft2c(file["image"])[0], np.load(one_coil), atol=1e-4)


def test_summary_names_method_slices_acceleration_residual_seconds_and_output(
    one_coil: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.npz"
    argv = ["recon", str(one_coil), "-o", str(out), "--method", "cg-sense", "--steps", "3"]
    assert main([*argv, "--mask-type", "thesis", "--acceleration", "4", "--center-fraction", "0.1"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["method"] == "cg-sense"
    assert lines["slices"].startswith(f"1 of {SIZE} x {SIZE}, 1 coil")
    with np.load(out, allow_pickle=False) as file:
        assert float(lines["acceleration"]) == pytest.approx(file["mask"].size / file["mask"].sum(), rel=0.01)
        facts = json.loads(str(file["facts"]))
    assert float(lines["residual"].split()[0]) == pytest.approx(facts["residual"], rel=1e-3)
    assert float(lines["seconds"]) >= 0
    assert lines["output"] == str(out)


def test_diffusion_run_is_bit_identical_from_its_own_result(one_coil: Path, tiny_prior: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first.npz", tmp_path / "second.npz"
    argv = ["recon", str(one_coil), "--prior", str(tiny_prior), "--device", "cpu"]
    options = ["--steps", "3", "--samples", "2", "--seed", "5", "--real", "--set", "guidance.gamma=0.5"]
    mask = ["--mask-type", "random", "--acceleration", "3", "--center-fraction", "0.1", "--mask-seed", "2"]
    assert main([*argv, "-o", str(first), *options, *mask]) == 0
    assert main([*argv, "-o", str(second), "--recipe", str(first)]) == 0
    with np.load(first, allow_pickle=False) as a, np.load(second, allow_pickle=False) as b:
        assert set(a.files) == set(b.files) >= {"samples", "mean", "std"}
        assert a["samples"].shape == (1, 2, SIZE, SIZE)
        for name in ("image", "samples", "mean", "std", "mask", "recipe"):
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)
        recipe = json.loads(str(a["recipe"]))
    assert recipe["schedule"]["steps"] == 3
    assert recipe["guidance"]["gamma"] == 0.5
    assert recipe["image"] == "real"
    assert recipe["mask"]["params"]["seed"] == 2


def test_options_override_the_recipe(one_coil: Path, tmp_path: Path) -> None:
    recipe, out, again = tmp_path / "r.json", tmp_path / "out.npz", tmp_path / "again.json"
    argv = ["recon", str(one_coil), "-o", str(out)]
    first = ["--method", "cg-sense", "--set", "guidance.regularization=0.2", "--steps", "7", "--seed", "3"]
    mask = ["--mask-type", "random", "--acceleration", "3", "--mask-seed", "4"]
    assert main([*argv, *first, *mask, "--save-recipe", str(recipe)]) == 0

    change = ["--steps", "2", "--acceleration", "2"]
    assert main([*argv, "--recipe", str(recipe), *change, "--save-recipe", str(again)]) == 0
    changed = json.loads(again.read_text())
    assert (changed["method"], changed["seed"]) == ("cg-sense", 3)
    assert changed["guidance"] == {"regularization": 0.2, "iterations": 2}
    assert changed["mask"]["kind"] == "random"
    assert (changed["mask"]["params"]["acceleration"], changed["mask"]["params"]["seed"]) == (2, 4)

    assert main([*argv, "--recipe", str(recipe), "--method", "tv", "--steps", "2", "--save-recipe", str(again)]) == 0
    other = json.loads(again.read_text())
    assert other["method"] == "tv"
    assert other["guidance"]["regularization"] != 0.2  # a weight of CG-SENSE means nothing to TV
    assert other["mask"]["params"]["acceleration"] == 3


def test_mask_file_becomes_part_of_the_recipe(one_coil: Path, tmp_path: Path) -> None:
    mask, out, again = tmp_path / "m.npy", tmp_path / "out.npz", tmp_path / "again.npz"
    assert main(["mask", "--type", "random", "--shape", f"{SIZE}x{SIZE}", "-o", str(mask), "--acceleration", "3"]) == 0
    argv = ["recon", str(one_coil), "--method", "zero-filled"]
    assert main([*argv, "-o", str(out), "--mask", str(mask)]) == 0
    expected = np.load(mask)
    mask.unlink()
    assert main([*argv, "-o", str(again), "--recipe", str(out)]) == 0
    with np.load(again, allow_pickle=False) as file:
        np.testing.assert_array_equal(file["mask"], expected)


def test_given_coil_maps_are_used(tmp_path: Path) -> None:
    data = simulate(shepp_logan(SIZE), n_coils=4, noise_std=0.001)
    scan, maps, out = tmp_path / "scan.npy", tmp_path / "maps.npz", tmp_path / "out.npz"
    np.save(scan, data.kspace)
    np.savez(maps, maps=data.maps)
    argv = ["recon", str(scan), "-o", str(out), "--method", "cg-sense", "--maps", str(maps)]
    assert main([*argv, "--set", "guidance.regularization=0"]) == 0
    with np.load(out, allow_pickle=False) as file:
        np.testing.assert_allclose(file["maps"], data.maps, atol=1e-5)
        assert np.abs(file["image"][0] - shepp_logan(SIZE)).max() < 0.02


def test_the_kind_of_coil_maps_is_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scan, out = tmp_path / "scan.npy", tmp_path / "out.npz"
    data = simulate(shepp_logan(SIZE), n_coils=4, noise_std=0.001)
    np.save(scan, data.kspace)
    argv = ["recon", str(scan), "-o", str(out), "--method", "cg-sense", "--coil-maps"]
    assert main([*argv, "walsh"]) == 0
    with np.load(out, allow_pickle=False) as file:
        assert json.loads(str(file["recipe"]))["coil_maps"] == "walsh"
        np.testing.assert_array_equal(file["maps"][0], walsh_maps(data.kspace[0], data.acquired))
    capsys.readouterr()
    assert "--coil-maps" in error_of(capsys, [*argv, "magic"])
    assert "not allowed with" in error_of(capsys, [*argv, "walsh", "--maps", str(scan)])


# Wrong inputs ---------------------------------------------------------------------------------------------------------


def save(path: Path, array: np.ndarray) -> str:
    np.save(path, array)
    return str(path)


def test_wrong_inputs_end_in_one_sentence_and_leave_nothing(
    one_coil: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kspace = np.load(one_coil)
    with_nan = kspace.copy()
    with_nan[3, 4] = np.nan
    (tmp_path / "text.npy").write_text("not an array")
    (tmp_path / "r.json").write_text('{"methud": "tv"}')
    scan = str(one_coil)
    cases = {
        "real": [save(tmp_path / "real_kspace.npy", kspace.real[None, None])],
        "shape": [save(tmp_path / "five.npy", kspace[None, None, None])],
        "NaN": [save(tmp_path / "nan.npy", with_nan)],
        "zero": [save(tmp_path / "zero.npy", kspace * 0)],
        "text.npy": [str(tmp_path / "text.npy")],
        "absent.npy": [str(tmp_path / "absent.npy")],
        "(16, 16)": [scan, "--mask", save(tmp_path / "m16.npy", np.ones((16, 16), bool))],
        "empty": [scan, "--mask", save(tmp_path / "m0.npy", np.zeros((SIZE, SIZE), bool))],
        "random, equispaced": [scan, "--mask-type", "rndom"],
        "--mask-type": [scan, "--acceleration", "4"],
        "acceleration": [scan, "--mask-type", "random", "--acceleration", "0.5"],
        "prox-ddim": [scan, "--method", "magic"],
        "guidance.gamma": [scan, "--set", "guidance.gama=1"],
        "KEY=VALUE": [scan, "--set", "guidance.gamma"],
        "no prior": [scan, "--prior", "heart"],
        "safetensors": [scan, "--prior", scan],
        "steps": [scan, "--steps", "0"],
        "samples": [scan, "--samples", "0"],
        "noise_std": [scan, "--noise-std", "-1"],
        "methud": [scan, "--recipe", str(tmp_path / "r.json")],
        "nowhere.json": [scan, "--recipe", str(tmp_path / "nowhere.json")],
        "coil maps": [scan, "--method", "cg-sense", "--maps", save(tmp_path / "maps.npy", kspace[:8, :8])],
        "INPUT": [],
        "--step": [scan, "--unknown-option"],
    }
    before = sorted(tmp_path.iterdir())
    for expected, argv in cases.items():
        message = error_of(capsys, ["recon", "-o", str(tmp_path / "out.npz"), *argv])
        if expected != "--step":
            assert expected in message, (argv, message)
        assert sorted(tmp_path.iterdir()) == before, argv


def test_several_coils_without_calibration_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kspace = simulate(shepp_logan(64), n_coils=4).kspace.copy()
    kspace[..., 20:44] = 0
    scan = save(tmp_path / "no_centre.npy", kspace)
    message = error_of(capsys, ["recon", scan, "-o", str(tmp_path / "out.npz"), "--method", "cg-sense"])
    assert "calibration" in message
    assert not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize("output", ["missing/out.npz", "out.txt", "folder.npz", "scan.npy"])
def test_an_output_that_cannot_be_written_is_refused_before_the_input_is_read(
    output: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder.npz").mkdir()
    message = error_of(capsys, ["recon", str(tmp_path / "absent.npy"), "-o", str(tmp_path / output)])
    assert output in message
    assert "absent" not in message.replace(output, "")


def test_the_input_is_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scan = tmp_path / "scan.npz"
    np.savez(scan, kspace=simulate(shepp_logan(SIZE)).kspace)
    before = scan.read_bytes()
    message = error_of(capsys, ["recon", str(scan), "-o", str(scan), "--method", "zero-filled"])
    assert "scan.npz" in message
    assert scan.read_bytes() == before


@pytest.mark.skipif(sys.platform == "win32", reason="no resource limits: a full disk is not tested")
def test_a_full_disk_leaves_the_old_result_and_no_part(one_coil: Path, tmp_path: Path) -> None:
    import resource

    folder = tmp_path / "results"
    folder.mkdir()
    old = folder / "out.npz"
    old.write_bytes(b"the previous result")
    argv = ["recon", str(one_coil), "-o", str(old), "--method", "zero-filled"]
    process = start(
        argv, stderr=subprocess.PIPE, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    )
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2, err
    assert len(err.splitlines()) == 1 and b"out.npz" in err
    assert old.read_bytes() == b"the previous result"
    assert list(folder.iterdir()) == [old]


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminal: progress bar and Ctrl-C are not tested")
def test_progress_on_a_terminal_and_ctrl_c(one_coil: Path, tiny_prior: Path, tmp_path: Path) -> None:
    import pty
    import termios

    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    out = tmp_path / "out.npz"
    argv = ["recon", str(one_coil), "-o", str(out), "--prior", str(tiny_prior), "--steps", "5000", "--device", "cpu"]
    # The background of a shell ignores Ctrl-C, and so would a process started there.
    heard = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    process = start(argv, stderr=theirs, stdout=subprocess.DEVNULL, **heard)
    os.close(theirs)
    shown, interrupted = b"", False
    while part := read_terminal(ours):
        shown += part
        if b"residual" in shown and not interrupted:
            process.send_signal(signal.SIGINT)
            interrupted = True
    os.close(ours)
    assert b"slice 1/1" in shown and b"/5000" in shown
    assert process.wait(timeout=60) == 130
    assert b"lossguide: interrupted" in shown and b"Traceback" not in shown
    assert {p.name for p in tmp_path.iterdir()} == {one_coil.name}


def test_knobs_that_were_turned_are_turned_again(one_coil: Path, tiny_prior: Path, tmp_path: Path) -> None:
    """A recipe with changes of live knobs gives another image than one without, and keeps them."""
    argv = ["recon", str(one_coil), "--device", "cpu", "--prior", str(tiny_prior), "--steps", "4"]
    out, turned, recipe = tmp_path / "out.npz", tmp_path / "turned.npz", tmp_path / "r.json"
    mask = ["--mask-type", "random", "--acceleration", "4"]
    assert main([*argv, *mask, "-o", str(out), "--save-recipe", str(recipe)]) == 0
    change = {"step": 1, "name": "guidance.gamma", "value": 0.001}
    recipe.write_text(json.dumps(json.loads(recipe.read_text()) | {"changes": [change]}))
    assert main(["recon", str(one_coil), "--device", "cpu", "-o", str(turned), "--recipe", str(recipe)]) == 0
    with np.load(out) as plain, np.load(turned) as other:
        assert json.loads(str(other["recipe"]))["changes"] == [change]
        assert not np.allclose(plain["image"], other["image"])


def test_a_diverging_run_says_so(one_coil: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = make_prior(tmp_path / "broken.safetensors", factor=float("nan"))
    out = tmp_path / "out.npz"
    argv = ["recon", str(one_coil), "-o", str(out), "--prior", str(broken), "--device", "cpu"]
    assert "diverged" in error_of(capsys, argv, code=1)
    assert not out.exists()


def test_out_of_memory_is_one_sentence_and_other_failures_are_not_hidden(
    one_coil: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from napari_lossguide.recon import engine

    def failing(message: str) -> None:
        def steps(*_: object, **__: object) -> Iterator[None]:
            raise RuntimeError(message)
            yield

        monkeypatch.setattr(engine, "reconstruction", steps)

    argv = ["recon", str(one_coil), "-o", str(tmp_path / "out.npz"), "--method", "zero-filled"]
    failing("CUDA out of memory. Tried to allocate 2 GiB.\nDetails")
    assert "out of memory" in error_of(capsys, argv, code=1)
    failing("a mistake in the program")
    with pytest.raises(RuntimeError, match="a mistake"):
        main(argv)
    assert not (tmp_path / "out.npz").exists()


# The other commands ---------------------------------------------------------------------------------------------------


def test_mask_prints_what_it_achieved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "m.npy"
    argv = ["mask", "--type", "thesis", "--shape", "100x128", "-o", str(out), "--acceleration", "4"]
    assert main([*argv, "--center-fraction", "0.1", "--seed", "1"]) == 0
    made = np.load(out, allow_pickle=False)
    assert made.dtype == bool and made.shape == (100, 128)
    words = capsys.readouterr().out.split()
    assert float(words[2].rstrip(":")) == pytest.approx(made.size / made.sum(), rel=1e-3)
    assert f"{made[0].sum()} of 128" in " ".join(words)

    assert main([*argv, "--center-fraction", "0.1", "--seed", "1", "--axis", "y"]) == 0
    assert (np.load(out).any(axis=1) == np.load(out).all(axis=1)).all()


@pytest.mark.parametrize("shape", ["128", "0x5", "ax5", "1x2x3"])
def test_mask_shape_is_checked(shape: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "NYxNX" in error_of(capsys, ["mask", "--type", "random", "--shape", shape, "-o", str(tmp_path / "m.npy")])


def test_metrics(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = shepp_logan(SIZE)[None]
    ref, image = save(tmp_path / "ref.npy", truth), save(tmp_path / "image.npy", truth * 1.1)
    assert main(["metrics", ref, image, "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["nmse"] == pytest.approx(0.01, rel=1e-3)
    assert values["psnr"] == pytest.approx(10 * np.log10(truth.max() ** 2 / np.mean((0.1 * truth) ** 2)), rel=1e-3)
    assert 0 < values["ssim"] < 1

    assert main(["metrics", ref, ref, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"psnr": None, "ssim": 1.0, "nmse": 0.0}  # infinite is not JSON
    assert main(["metrics", ref, image]) == 0
    assert f"{values['psnr']:.5g} dB" in capsys.readouterr().out
    small = save(tmp_path / "small.npy", truth[:, :16])
    assert "(1, 16, 32)" in error_of(capsys, ["metrics", ref, small])


def test_metrics_reads_results(one_coil: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.npz"
    assert main(["recon", str(one_coil), "-o", str(out), "--method", "zero-filled"]) == 0
    capsys.readouterr()
    assert main(["metrics", save(tmp_path / "ref.npy", shepp_logan(SIZE)[None]), str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["psnr"] > 30


def test_info_of_kspace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kspace = simulate(shepp_logan(SIZE), n_coils=3).kspace
    kept = [3, 9, 14, 15, 16, 17, 25]
    mask = np.zeros((SIZE, SIZE), bool)
    mask[:, kept] = True
    scan = tmp_path / "scan.npz"
    np.savez(scan, kspace=kspace * mask, spacing=[5.0, 0.9, 0.8])
    assert main(["info", str(scan), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["slices"], facts["coils"], facts["shape"]) == (1, 3, [SIZE, SIZE])
    assert facts["acquired"] == {"pattern": "lines along y", "lines": 7, "of": SIZE, "center": 4}
    assert facts["acceleration"] == pytest.approx(SIZE / 7)
    assert facts["spacing_mm"] == pytest.approx([5.0, 0.9, 0.8])
    assert main(["info", str(scan)]) == 0
    assert "lines along y, 7 of 32, 4 in the centre" in capsys.readouterr().out


def test_info_of_a_result_shows_its_recipe(one_coil: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, recipe = tmp_path / "out.npz", tmp_path / "r.json"
    argv = ["recon", str(one_coil), "-o", str(out), "--method", "zero-filled", "--save-recipe", str(recipe)]
    assert main(argv) == 0
    capsys.readouterr()
    assert main(["info", str(out), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["kind"] == "result"
    assert facts["acquired"] == {"pattern": "fully sampled"}
    assert facts["recipe"] == json.loads(recipe.read_text())
    assert main(["info", str(out)]) == 0
    assert "zero-filled" in capsys.readouterr().out


def test_info_of_no_such_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "absent.npz" in error_of(capsys, ["info", str(tmp_path / "absent.npz")])


def test_priors_names_size_licence_and_training_data(capsys: pytest.CaptureFixture[str]) -> None:
    from napari_lossguide.priors.load import list_priors

    bundled = list_priors()
    assert [p.name for p in bundled] == ["brain"]
    assert main(["priors"]) == 0
    shown = capsys.readouterr().out
    assert "brain" in shown and " MB" in shown
    assert bundled[0].licence in shown and bundled[0].trained_on in shown


def test_train_makes_a_prior_that_recon_takes(one_coil: Path, tmp_path: Path) -> None:
    images = np.stack([shepp_logan(64)] * 4)
    np.savez(tmp_path / "slices.npz", images=images)
    config, out = tmp_path / "tiny.toml", tmp_path / "trained"
    config.write_text(
        'name = "tiny"\nwidths = [8, 8]\nheads = 1\nsteps = 2\nprecision = "fp32"\n'
        '[[views]]\nsize = 32\nbatch = 2\n[[train]]\npath = "slices.npz"\n'
    )
    argv = ["train", str(config), "--data", str(tmp_path), "--out", str(out), "--device", "cpu"]
    assert main(argv) == 0
    prior = str(out / "tiny.safetensors")
    result = str(tmp_path / "out.npz")
    assert main(["recon", str(one_coil), "-o", result, "--prior", prior, "--steps", "2", "--device", "cpu"]) == 0


def test_train_complains_before_it_starts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, out = tmp_path / "c.toml", tmp_path / "trained"
    argv = ["train", str(config), "--data", str(tmp_path), "--out", str(out)]
    assert "c.toml" in error_of(capsys, argv)
    config.write_text('name = "tiny"\ntrain = []\nbatsh = 2\n')
    assert "batsh" in error_of(capsys, argv)
    config.write_text('name = "tiny"\n[[train]]\npath = "slices.npz"\n')
    assert "slices.npz" in error_of(capsys, argv)
    assert "not both" in error_of(capsys, [*argv, "--preset", "cpu"])
    presets = ["train", "--data", str(tmp_path), "--out", str(out)]
    assert "give one of cpu, gpu, gpus" in error_of(capsys, [*presets, "--preset", "none"])
    assert "wrong at steps" in error_of(capsys, [*presets, "--set", "steps=0"])
    assert "wrong at folder.plane" in error_of(capsys, [*presets, "--set", "folder.plane=oblique"])
    assert "leads into steps, which is not a table" in error_of(
        capsys, [*presets, "--set", "steps=3", "--set", "steps.x=1"]
    )
    assert "is not a folder" in error_of(capsys, ["train", "--data", str(tmp_path / "none"), "--out", str(out)])
    assert not out.exists()


def test_demo_refuses_a_screenshot_it_cannot_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "missing" in error_of(capsys, ["demo", "--screenshot", str(tmp_path / "missing" / "demo.png")])


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for argv, expected in ((["--version"], __version__), (["--help"], "recon"), (["recon", "--help"], "--method")):
        with pytest.raises(SystemExit) as stopped:
            main(argv)
        assert stopped.value.code == 0
        assert expected in capsys.readouterr().out


@pytest.mark.skipif(sys.platform == "win32", reason="Windows reports a closed pipe otherwise: not tested there")
def test_a_closed_pipe_is_no_crash() -> None:
    process = start(["methods"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(timeout=60) in (0, 1)
    assert process.stderr is not None
    assert process.stderr.read() == b""


# The real acquisition -------------------------------------------------------------------------------------------------


def test_real_acquisition_keeps_its_scale_and_shape(shared_data: Path, tmp_path: Path) -> None:
    scan, out = shared_data / "kspace_brain_sagittal_1ch.npz", tmp_path / "out.npz"
    argv = ["recon", str(scan), "-o", str(out), "--method", "zero-filled"]
    assert main([*argv, "--mask-type", "equispaced", "--acceleration", "4", "--center-fraction", "0.08"]) == 0
    data = read(scan)
    with np.load(out, allow_pickle=False) as file:
        assert file["image"].shape == (data.n_slices, *data.image_shape)
        np.testing.assert_allclose(
            fft2c(file["image"])[0], data.kspace[0, 0] * file["mask"], atol=1e-4 * np.abs(data.kspace).max()
        )


def test_metrics_of_a_region(capsys, tmp_path):
    truth = np.ones((24, 20), np.float32)
    image = truth.copy()
    image[:10] += 0.1
    region = np.zeros((24, 20), bool)
    region[12:, :] = True
    for name, array in (("truth", truth), ("image", image), ("region", region)):
        np.save(tmp_path / f"{name}.npy", array)
    files = [str(tmp_path / "truth.npy"), str(tmp_path / "image.npy")]
    assert main(["metrics", *files, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["nmse"] == pytest.approx(0.01 * 10 / 24, rel=1e-4)
    assert main(["metrics", *files, "--json", "--region", str(tmp_path / "region.npy")]) == 0
    assert json.loads(capsys.readouterr().out)["nmse"] == 0
