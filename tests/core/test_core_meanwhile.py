"""Calls that another thread makes while the caller goes on."""

import threading

import pytest

from tasks.core.meanwhile import Meanwhile
from tests.samples import eventually

LONG_S = 30


def test_call_returns_before_its_function_has_and_close_waits_for_all_in_order() -> None:
    """Nothing that was left is forgotten."""
    meanwhile, gate, made = Meanwhile(), threading.Event(), list[str]()

    def first() -> None:
        assert gate.wait(LONG_S)
        made.append(threading.current_thread().name)

    meanwhile.call(first)
    meanwhile.call(lambda: made.append("second"))
    assert made == []
    gate.set()
    meanwhile.close(limit_s=LONG_S)
    assert made == ["meanwhile", "second"]


def test_close_gives_up_on_a_call_that_takes_too_long() -> None:
    """A child that ends is killed when it takes too long."""
    meanwhile, gate = Meanwhile(), threading.Event()
    meanwhile.call(lambda: gate.wait(LONG_S))
    meanwhile.close(limit_s=0.05)
    assert not gate.is_set()
    gate.set()


def test_unused_one_closes_without_a_thread() -> None:
    """A child that ran nothing has none."""
    meanwhile = Meanwhile()
    meanwhile.close(limit_s=LONG_S)
    assert meanwhile._thread is None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_call_after_one_that_raised_is_made() -> None:
    """An error is shown, and no reason to be silent from then on."""
    meanwhile, made = Meanwhile(), threading.Event()

    def alive() -> bool:
        thread = meanwhile._thread
        return thread is not None and thread.is_alive()

    def fail() -> None:
        raise RuntimeError

    meanwhile.call(fail)
    assert eventually(lambda: not alive())
    meanwhile.call(made.set)
    assert made.wait(LONG_S)
