import signal

import pytest

from napari_lossguide.cli.interrupt import cancel_on_interrupt, run_to_the_end
from napari_lossguide.recon.live import Live
from napari_lossguide.types import Cancelled


@pytest.fixture(autouse=True)
def ctrl_c_interrupts():
    """In the background of a shell it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_cancels_the_run_and_then_interrupts():
    ended, before = [], signal.getsignal(signal.SIGINT)

    def begin(live):
        try:
            signal.raise_signal(signal.SIGINT)
            live.checkpoint()
        except Cancelled:
            ended.append("at a checkpoint")
        return "cancelled"
        yield

    with pytest.raises(KeyboardInterrupt):
        run_to_the_end(begin, "reading", lambda p: "")
    assert ended == ["at a checkpoint"] and signal.getsignal(signal.SIGINT) is before


def test_the_second_ctrl_c_does_not_wait():
    live = Live()
    with cancel_on_interrupt(live):
        signal.raise_signal(signal.SIGINT)
        assert live.cancelled
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_where_ctrl_c_is_ignored_it_stays_so():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    live = Live()
    with cancel_on_interrupt(live):
        signal.raise_signal(signal.SIGINT)
    assert not live.cancelled


def test_a_run_that_ends_gives_its_result():
    def begin(live):
        return "result"
        yield

    assert run_to_the_end(begin, "reading", lambda p: "") == "result"
