import threading

import pytest

from napari_lossguide.recon.live import Change, Live
from napari_lossguide.types import Cancelled, InvalidInput

LIMITS = {"guidance.gamma": (0.0, 10.0), "sampler.eta": (0.0, 1.0)}


@pytest.fixture
def live():
    live = Live()
    live.declare(LIMITS)
    return live


def test_nothing_changed_is_nothing_read(live):
    assert live.read(0) == {}
    assert live.changes == ()


def test_an_update_takes_effect_at_the_next_read_and_stays(live):
    assert live.read(0) == {}
    live.update({"guidance.gamma": 2, "sampler.eta": 0.5})
    assert live.read(1) == {"guidance.gamma": 2.0, "sampler.eta": 0.5}
    assert live.read(2) == {"guidance.gamma": 2.0, "sampler.eta": 0.5}
    live.update({"sampler.eta": 0.1})
    assert live.read(3) == {"guidance.gamma": 2.0, "sampler.eta": 0.1}


def test_changes_are_logged_at_the_step_where_they_took_effect_and_once(live):
    live.update({"guidance.gamma": 5.0})
    live.update({"guidance.gamma": 2.0})  # before anybody read it: only the last one was ever used
    live.read(3)
    live.update({"guidance.gamma": 2.0})
    live.read(4)
    live.update({"guidance.gamma": 3.0})
    live.read(7)
    assert [(c.step, c.name, c.value) for c in live.changes] == [(3, "guidance.gamma", 2.0), (7, "guidance.gamma", 3.0)]


def test_what_was_read_before_is_not_changed_afterwards(live):
    live.update({"guidance.gamma": 1.0})
    before = live.read(0)
    live.update({"guidance.gamma": 9.0})
    assert before == {"guidance.gamma": 1.0}


def test_replay_gives_the_same_values_and_the_same_log():
    changes = (
        Change(step=1, name="guidance.gamma", value=2.0),
        Change(step=3, name="sampler.eta", value=0.5),
        Change(step=3, name="guidance.gamma", value=4.0),
    )
    live = Live(changes)
    live.declare(LIMITS)
    values = [live.read(i) for i in range(5)]
    assert values[0] == {}
    assert values[1] == values[2] == {"guidance.gamma": 2.0}
    assert values[3] == values[4] == {"guidance.gamma": 4.0, "sampler.eta": 0.5}
    assert set(live.changes) == set(changes)


def test_a_hand_on_the_knob_wins_over_the_replay():
    live = Live([Change(step=2, name="sampler.eta", value=0.5)])
    live.declare(LIMITS)
    live.read(0), live.read(1)
    live.update({"sampler.eta": 0.9})
    assert live.read(2) == {"sampler.eta": 0.9}
    assert live.read(3) == {"sampler.eta": 0.9}  # and is not undone by it
    assert [(c.step, c.value) for c in live.changes] == [(2, 0.9)]


def test_unknown_knob(live):
    with pytest.raises(InvalidInput, match=r"'guidance.delta' is not a live knob.*it has guidance.gamma, sampler.eta"):
        live.update({"guidance.gamma": 1.0, "guidance.delta": 1.0})
    assert live.read(0) == {}  # all or nothing


@pytest.mark.parametrize("value", [-0.1, 1.01, float("nan"), float("inf")])
def test_out_of_range(live, value):
    with pytest.raises(InvalidInput, match=r"sampler.eta = .* is out of its range 0 \.\.\. 1"):
        live.update({"sampler.eta": value})
    assert live.read(0) == {}


@pytest.mark.parametrize(("name", "value"), [("nobody", 1.0), ("sampler.eta", 2.0)])
def test_what_was_set_before_the_run_is_checked_when_the_run_begins(name, value):
    early = Live()
    early.update({name: value})
    replayed = Live([Change(step=0, name=name, value=value)])
    for live in (early, replayed):
        with pytest.raises(InvalidInput, match=name):
            live.declare(LIMITS)


def test_a_method_without_knobs_says_so():
    live = Live()
    live.declare({})
    with pytest.raises(InvalidInput, match="it has none"):
        live.update({"guidance.gamma": 1.0})


def test_cancel_raises_at_the_checkpoint_and_ever_after(live):
    live.checkpoint()
    assert not live.cancelled
    live.cancel()
    assert live.cancelled
    for _ in range(2):
        with pytest.raises(Cancelled):
            live.checkpoint()


def held_at_a_checkpoint(live):
    """A thread in ``checkpoint``, and the events of its way there and out."""
    arrived, left, outcome = threading.Event(), threading.Event(), []

    def run():
        arrived.set()
        try:
            live.checkpoint()
            outcome.append("went on")
        except Cancelled:
            outcome.append("cancelled")
        left.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert arrived.wait(10)
    return thread, left, outcome


def test_pause_holds_until_resume(live):
    live.pause()
    assert live.paused
    thread, left, outcome = held_at_a_checkpoint(live)
    assert not left.wait(0.1)
    live.resume()
    thread.join(10)
    assert outcome == ["went on"] and not live.paused


def test_cancel_wakes_a_paused_run(live):
    live.pause()
    thread, left, outcome = held_at_a_checkpoint(live)
    assert not left.wait(0.1)
    live.cancel()
    thread.join(10)
    assert outcome == ["cancelled"]


def test_no_update_is_lost_between_threads(live):
    """Many writers, one reader: the pairs that are set together are read together, and the log ends with the last."""
    done = threading.Event()
    torn = []

    def turn(start):
        for i in range(start, 2000, 4):
            live.update({"guidance.gamma": i / 1000, "sampler.eta": i / 2000})

    def read():
        step = 0
        while not done.is_set() or step == 0:
            values = live.read(step)
            if values and values["guidance.gamma"] != 2 * values["sampler.eta"]:
                torn.append(values)
            step += 1
        live.read(step)

    reader = threading.Thread(target=read)
    reader.start()
    writers = [threading.Thread(target=turn, args=(k,)) for k in range(4)]
    for w in writers:
        w.start()
    for w in writers:
        w.join()
    done.set()
    reader.join(30)
    assert torn == []
    last = {c.name: c.value for c in live.changes}
    assert live.read(10**9) == last
