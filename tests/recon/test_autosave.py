"""Results on disk that outlive their program: killed in between writes, side by side, on a disk without room."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import napari_lossguide
from napari_lossguide.recon.autosave import Keeping, Session
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.recon.restore import restore
from napari_lossguide.recon.result import Result
from napari_lossguide.recon.samples import Samples, sample_recipe
from napari_lossguide.recon.session_folder import ENDED, RUNNING
from napari_lossguide.recon.sessions_left import (
    discard,
    read_unfinished,
    restore_all,
    sessions_left,
    tidy,
    unknowable,
)
from napari_lossguide.types import InvalidInput

TESTS = Path(__file__).resolve().parents[1]
WRITES_ANYWHERE = (
    "chmod protects no folder on Windows"
    if os.name == "nt"
    else "root may write everywhere"
    if os.getuid() == 0
    else ""
)


def make_result(seed=0, size=32, **facts):
    """A result that states the hash of its image."""
    import hashlib

    rng = np.random.default_rng(seed)
    shape = (2, 3, size, size)
    samples = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)
    image = samples.mean(axis=1)
    return Result(
        image=image,
        zero_filled=image * 2,
        mask=rng.random((size, size)) < 0.5,
        maps=samples[:, :2],
        samples=samples,
        mean=image,
        std=np.abs(image),
        recipe=Recipe.for_method("prox-mean", seed=seed, samples=3),
        trace=({"step": 1.0},),
        status="done",
        seconds=1.5,
        nfe=7,
        residual=0.9,
        noise_std=0.1,
        scale=(1.0, 1.0),
        provenance={"device": "cpu", "image_sha256": hashlib.sha256(image.tobytes()).hexdigest(), "input_sha256": "i"},
        simulated=True,
        **facts,
    )


@pytest.fixture
def keeping(tmp_path):
    return Keeping(folder=tmp_path / "autosave", days=7.0)


def start_another(folder, code, *, wait=""):
    """Another program, that autosaves into the same folder; it is waited for until it prints a word."""
    paths = os.pathsep.join([str(Path(napari_lossguide.__file__).parents[1]), str(TESTS)])
    head = "from recon.test_autosave import *\n"
    head += f"keeping = Keeping(folder=Path({str(folder)!r}), days=7.0)\nsession = Session(keeping)\n"
    child = subprocess.Popen(
        [sys.executable, "-c", head + code],
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        text=True,
    )
    while wait:
        line = child.stdout.readline()
        assert line, "it ended too soon"
        if line.strip() == wait:
            break
    return child


def kill(child):
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()


def end(child):
    assert child.wait(60) == 0
    child.stdout.close()


def assert_equal(again, result):
    for name in ("image", "zero_filled", "mask", "maps", "samples", "mean", "std"):
        np.testing.assert_array_equal(getattr(again, name), getattr(result, name), name)
    for name in ("recipe", "status", "seconds", "nfe", "residual", "noise_std", "provenance", "simulated", "failed"):
        assert getattr(again, name) == getattr(result, name), name


def test_what_is_kept_comes_back_as_it_was(keeping):
    result = make_result(seed=3, failed={1: "It diverged."})
    session = Session(keeping)
    path = session.keep(session.number(), "Proximal mean, seed 3", result, (3.0, 2.0, 1.0))
    assert path.name == "001-Proximal-mean-seed-3.npz"
    again = restore(path)
    assert (again.name, again.spacing) == ("Proximal mean, seed 3", (3.0, 2.0, 1.0))
    assert_equal(again.result, result)
    images = np.random.default_rng(0).random((2, 8, 8), np.float32)
    drawn = Samples(images, sample_recipe(shape=(8, 8)), ({"step": 1.0},), "done", 1.0, 3, {"device": "cpu"})
    again = restore(session.keep(session.number(), "Samples", drawn)).result
    np.testing.assert_array_equal(again.images, images)
    assert (again.recipe, again.nfe, again.provenance) == (drawn.recipe, 3, {"device": "cpu"})
    session.close()


ENDLESS = """
for seed in range(10000):
    number = session.number()
    session.begin(number, f"run {seed}", make_result(seed).recipe)
    session.keep(number, f"run {seed}", make_result(seed, size=128))
    print("one", flush=True)
"""


@pytest.mark.parametrize("seed", range(3))
def test_a_kill_at_any_moment_loses_at_most_the_image_that_was_being_written(keeping, seed):
    child = start_another(keeping.folder, ENDLESS, wait="one")
    time.sleep(0.1 + 0.4 * np.random.default_rng(seed).random())
    assert sessions_left(keeping.folder) == [], "a living program's results are its own"
    kill(child)
    (left,) = sessions_left(keeping.folder)
    assert left.results and len(left.unfinished) <= 1 and not left.clean
    session = Session(keeping)
    found, problems = restore_all([left], session)
    assert not problems and len(found) == len(left.results)
    for number, restored in enumerate(found):
        assert restored.name == f"run {number}"
        assert_equal(restored.result, make_result(number, size=128))
    assert sessions_left(keeping.folder) == [], "they are this program's now"
    session.close()
    assert sessions_left(keeping.folder) == [] and len(sessions_left(keeping.folder, crashed=False)) == 1


def test_a_half_written_file_is_ignored_and_a_damaged_one_told(keeping):
    child = start_another(keeping.folder, ENDLESS, wait="one")
    kill(child)
    (left,) = sessions_left(keeping.folder)
    whole = left.results[0].read_bytes()
    (left.path / ".900-half.npz.ab12.part").write_bytes(whole[:1000])
    (left.path / "901-damaged.npz").write_bytes(whole[: len(whole) // 2])
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    (left.path / "902-flipped.npz").write_bytes(flipped)
    (left,) = sessions_left(keeping.folder)
    found, problems = restore_all([left], session := Session(keeping))
    assert len(found) == len(left.results) - 2
    assert len(problems) == 2 and "901-damaged" in problems[0] and "902-flipped" in problems[1]
    session.close()


def test_another_image_than_the_stated_one_is_refused(keeping):
    session = Session(keeping)
    path = session.keep(session.number(), "a", make_result())
    with np.load(path) as file:
        arrays = dict(file)
    arrays["image"] = arrays["image"] * 2
    np.savez(path, **arrays)
    with pytest.raises(InvalidInput, match="another than the one it states"):
        restore(path)
    session.close()


WAITS = """
session.begin(session.number(), "long run", make_result(5).recipe, "scan.npz")
print("begun", flush=True)
input()
"""


def test_the_recipe_of_a_run_that_was_killed_is_there(keeping):
    kill(start_another(keeping.folder, WAITS.replace("input()", "time.sleep(60)"), wait="begun"))
    (left,) = sessions_left(keeping.folder)
    assert not left.results
    recipe, name = read_unfinished(left.unfinished[0])
    assert (Recipe.from_json(recipe), name) == (make_result(5).recipe, "long run")
    left.unfinished[0].write_text("{")
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_unfinished(left.unfinished[0])


@pytest.mark.parametrize("code", ["pass", "raise SystemExit(0)"])
def test_a_regular_end_is_no_crash_and_forgets_what_was_running(keeping, code):
    end(start_another(keeping.folder, 'session.begin(session.number(), "a", make_result().recipe)\n' + code))
    assert list(keeping.folder.iterdir()) == [], "nothing is left of a session without results"
    end(start_another(keeping.folder, 'session.keep(session.number(), "a", make_result())\n' + code))
    assert sessions_left(keeping.folder) == []
    (left,) = sessions_left(keeping.folder, crashed=False)
    assert left.clean and len(left.results) == 1


def test_a_clean_end_removes_what_is_kept_for_no_day(keeping):
    session = Session(Keeping(folder=keeping.folder, days=0))
    session.keep(session.number(), "a", make_result())
    session.close()
    assert list(keeping.folder.iterdir()) == []


def test_days_after_a_clean_end_a_session_goes_and_one_of_a_crash_stays(keeping):
    kill(start_another(keeping.folder, ENDLESS, wait="one"))
    session = Session(keeping)
    session.keep(session.number(), "a", make_result())
    session.close()
    tidy(keeping)
    assert len(list(keeping.folder.iterdir())) == 2
    long_ago = time.time() - 8 * 86400
    for folder in keeping.folder.iterdir():
        for path in (*folder.iterdir(), folder):
            os.utime(path, (long_ago, long_ago))
    tidy(keeping)
    (left,) = sessions_left(keeping.folder)
    assert discard(left)
    assert sessions_left(keeping.folder) == [] and left.results[0].exists(), "discarded is not offered, but not gone"
    os.utime(left.path / ENDED, (long_ago, long_ago))
    tidy(keeping)
    assert list(keeping.folder.iterdir()) == []


def test_two_programs_do_not_take_each_others_sessions(keeping):
    child = start_another(keeping.folder, ENDLESS, wait="one")
    kill(child)
    (left,) = sessions_left(keeping.folder)
    first, second = Session(keeping), Session(keeping)
    assert first.take(left.path) and not second.take(left.path) and not discard(left)
    found, problems = restore_all([left], second)
    assert not found and "Another napari" in problems[0]
    first.close()
    second.close()


def test_a_crash_after_taking_over_leaves_the_results_to_be_offered_again(keeping):
    session = Session(keeping)
    session.keep(session.number(), "a", make_result())
    session.close()
    code = """
left, = sessions_left(keeping.folder, crashed=False)
print("taken" if session.take(left.path) else "not", flush=True)
time.sleep(60)
"""
    kill(start_another(keeping.folder, code, wait="taken"))
    (left,) = sessions_left(keeping.folder)
    assert len(left.results) == 1 and not left.clean


def test_the_newest_results_are_kept_within_the_room_there_is(keeping):
    one = sum(np.asarray(a).nbytes + 1024 for a in make_result().arrays().values()) + 3000
    keeping = Keeping(folder=keeping.folder, limit=3 * one)
    kill(
        start_another(
            keeping.folder, "session.keep(1, 'old', make_result())\nprint('x', flush=True)\ninput()", wait="x"
        )
    )
    alive = start_another(
        keeping.folder, "session.keep(1, 'hers', make_result())\nprint('x', flush=True)\ntime.sleep(60)", wait="x"
    )
    session, files = Session(keeping), []
    for seed in range(4):
        time.sleep(0.02)  # file systems count in milliseconds
        files.append(session.keep(session.number(), f"n{seed}", make_result(seed)))
        sizes = [path.stat().st_size for path in keeping.folder.glob("*/*")]
        assert sum(sizes) <= keeping.limit
    assert [path.exists() for path in files] == [False, False, True, True]
    assert len(list(keeping.folder.glob("*/001-hers.npz"))) == 1, "another living program's are never removed"
    assert not list(keeping.folder.glob("*/001-old.npz"))
    with pytest.raises(InvalidInput, match="has room for"):
        session.keep(session.number(), "too large", make_result(size=128))
    kill(alive)
    session.close()


@pytest.mark.skipif(bool(WRITES_ANYWHERE), reason=f"{WRITES_ANYWHERE}: read-only folder not tested")
def test_a_folder_that_cannot_be_written_is_one_sentence(keeping):
    keeping.folder.mkdir()
    keeping.folder.chmod(0o500)
    session = Session(keeping)
    with pytest.raises(InvalidInput, match="Permission denied"):
        session.keep(session.number(), "a", make_result())
    session.end(1)
    session.close()
    assert sessions_left(keeping.folder) == []


def test_a_file_in_the_folders_place_is_one_sentence(tmp_path):
    (tmp_path / "autosave").write_text("")
    session = Session(Keeping(folder=tmp_path / "autosave"))
    with pytest.raises(InvalidInput, match="cannot be written"):
        session.begin(session.number(), "a", make_result().recipe)
    tidy(session.keeping)
    assert sessions_left(tmp_path / "autosave") == []


def test_a_full_disk_is_one_sentence_and_leaves_no_half_file(keeping):
    """A disk is full where no file may be longer than so many bytes."""
    code = """
import resource
session.keep(session.number(), "small", make_result())
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    session.keep(session.number(), "large", make_result(size=200))
except InvalidInput as error:
    print("could not be written" in str(error), flush=True)
session.begin(session.number(), "next", make_result().recipe)
os._exit(0)
"""
    child = start_another(keeping.folder, code, wait="True")
    end(child)
    (left,) = sessions_left(keeping.folder)
    assert [path.name for path in left.results] == ["001-small.npz"] and len(left.unfinished) == 1
    assert not list(left.path.glob(".*part"))


@pytest.mark.parametrize("error", [OSError(errno.ENOLCK, "No locks available"), NotImplementedError()])
def test_without_locks_nothing_is_taken_and_that_is_said(keeping, monkeypatch, error):
    kill(
        start_another(
            keeping.folder, "session.keep(1, 'a', make_result())\nprint('x', flush=True)\ntime.sleep(60)", wait="x"
        )
    )
    (left,) = sessions_left(keeping.folder)
    assert unknowable(keeping.folder) == ""

    def refuse(*args, **kwargs):
        raise error

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    assert sessions_left(keeping.folder) == [] and not discard(left) and not Session(keeping).take(left.path)
    reason = error.strerror if isinstance(error, OSError) else "locks are not supported"
    assert f"{keeping.folder} are not offered: that folder cannot be locked ({reason})" in unknowable(keeping.folder)


def test_a_living_program_is_no_reason_for_doubt(keeping):
    session = Session(keeping)
    session.keep(session.number(), "a", make_result())
    assert sessions_left(keeping.folder) == [] and unknowable(keeping.folder) == ""
    session.close()


def test_a_late_note_of_a_run_that_has_ended_is_not_written(keeping):
    session = Session(keeping)
    number = session.number()
    session.keep(number, "a", make_result())
    session.begin(number, "a", make_result().recipe)
    assert not list(keeping.folder.glob(f"*/*{RUNNING}"))
    other = session.number()
    session.begin(other, "b", make_result().recipe)
    assert len(list(keeping.folder.glob(f"*/*{RUNNING}"))) == 1
    session.end(other)
    assert not list(keeping.folder.glob(f"*/*{RUNNING}"))
    session.close()
