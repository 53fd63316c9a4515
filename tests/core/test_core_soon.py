"""Calls that are made a moment later."""

import threading
import time

import pytest

from tasks.core.soon import Soon
from tests.samples import eventually


def test_calls_are_made_in_order_on_one_thread_not_before_their_time() -> None:
    """Whoever leaves one goes on at once."""
    soon, made = Soon(0.05), []
    began = time.monotonic()
    for number in range(3):
        soon.call(lambda number=number: made.append((number, threading.current_thread().name, time.monotonic())))
    assert made == []
    assert eventually(lambda: len(made) == 3)
    assert [(number, "soon") for number in range(3)] == [(number, name) for number, name, _ in made]
    assert made[0][2] - began >= 0.05
    soon.close()


def test_call_left_after_a_rest_wakes_the_thread() -> None:
    """It sleeps for good while there is nothing to do."""
    soon, made = Soon(0.0), []
    soon.call(lambda: made.append(1))
    assert eventually(lambda: made == [1])
    time.sleep(0.05)
    soon.call(lambda: made.append(2))
    assert eventually(lambda: made == [1, 2])
    soon.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_call_that_raises_is_not_the_last_one() -> None:
    """The thread that it ends is followed by another, which also makes the calls that were left."""
    soon, made = Soon(0.0), []
    soon.call(lambda: 1 // 0)
    assert eventually(lambda: not soon._thread.is_alive())
    soon.call(lambda: made.append(1))
    assert eventually(lambda: made == [1])
    soon.close()


def test_closing_forgets_what_is_not_due() -> None:
    """Nothing is called behind the back of who closed."""
    soon, made = Soon(0.1), []
    soon.call(lambda: made.append(1))
    soon.close()
    time.sleep(0.2)
    assert made == []
