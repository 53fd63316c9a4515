"""What another thread deals with while who left it goes on."""

import threading

import pytest

from tasks.core.meanwhile import Meanwhile
from tests.samples import eventually

LONG_S = 30


def test_who_leaves_something_goes_on_and_close_waits_for_all_in_order() -> None:
    """Nothing that was left is forgotten."""
    gate, dealt, by = threading.Event(), list[int](), set[str]()

    def deal(items: list[int]) -> None:
        assert gate.wait(LONG_S)
        dealt.extend(items)
        by.add(threading.current_thread().name)

    meanwhile = Meanwhile(deal)
    for item in range(5):
        meanwhile.leave(item)
    assert dealt == []
    gate.set()
    meanwhile.close(limit_s=LONG_S)
    assert (dealt, by) == ([0, 1, 2, 3, 4], {"meanwhile"})


def test_what_waits_is_dealt_with_together() -> None:
    """Whatever was left while something else was dealt with."""
    gate, began, dealt = threading.Event(), threading.Event(), list[list[int]]()

    def deal(items: list[int]) -> None:
        began.set()
        assert gate.wait(LONG_S)
        dealt.append(items)

    meanwhile = Meanwhile(deal)
    meanwhile.leave(0)
    assert began.wait(LONG_S)
    for item in (1, 2, 3):
        meanwhile.leave(item, may_wait=True)
    gate.set()
    meanwhile.close(limit_s=LONG_S)
    assert dealt == [[0], [1, 2, 3]]


def test_what_may_wait_does_not_wait_for_more() -> None:
    """A few milliseconds, whether or not anything else comes."""
    dealt = threading.Event()
    Meanwhile(lambda _: dealt.set()).leave("alone", may_wait=True)
    assert dealt.wait(LONG_S)


def test_close_gives_up_on_what_takes_too_long() -> None:
    """A child that ends is killed when it takes too long."""
    gate = threading.Event()
    meanwhile = Meanwhile(lambda _: gate.wait(LONG_S))
    meanwhile.leave("long")
    meanwhile.close(limit_s=0.05)
    assert not gate.is_set()
    gate.set()


def test_unused_one_closes_without_a_thread() -> None:
    """A child that ran nothing has none."""
    meanwhile = Meanwhile(print)
    meanwhile.close(limit_s=LONG_S)
    assert meanwhile._thread is None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_is_left_after_an_error_is_dealt_with() -> None:
    """An error is shown, and no reason to be silent from then on."""
    dealt = threading.Event()

    def deal(items: list[str]) -> None:
        if "bad" in items:
            raise RuntimeError
        dealt.set()

    meanwhile = Meanwhile(deal)
    meanwhile.leave("bad")

    def alive() -> bool:
        thread = meanwhile._thread
        return thread is not None and thread.is_alive()

    assert eventually(lambda: not alive())
    meanwhile.leave("good")
    assert dealt.wait(LONG_S)
