"""A worker's parent holds nothing of jobs that have ended and of connections that are no more."""

from multiprocessing import util
from types import SimpleNamespace

from kombu import Connection
from kombu.asynchronous import Hub
from kombu.asynchronous.timer import Timer

from workers.tidying import TidyConnectionStep, drop_cancelled, forget_dead_channels


def test_time_limits_of_ended_jobs_are_dropped_and_the_others_kept() -> None:
    """From the very list that the loop holds, which goes on in the order of time."""
    timer, called = Timer(), list[int]()
    held = timer._queue
    limits = [timer.call_after(3600 - number, called.append, (number,)) for number in range(400)]
    kept = [timer.call_after(0, called.append, (number,)) for number in (1000, 1001)]
    for limit in limits:
        limit.cancel()

    assert 400 == drop_cancelled(timer)

    assert held is timer._queue
    assert {id(one) for one in kept} == {id(one.entry) for one in held}
    for _, entry in (next(iter(timer)) for _ in kept):
        entry()
    assert [1000, 1001] == called


def test_few_cancelled_time_limits_stay() -> None:
    """To build the heap anew for each would cost more than they do."""
    timer = Timer()
    for number in range(200):
        limit = timer.call_after(3600, print)
        if number % 3 == 0:
            limit.cancel()

    assert 0 == drop_cancelled(timer)
    assert 200 == len(timer._queue)


def test_calls_of_an_earlier_connection_are_dropped() -> None:
    """Those of the present one, and those of others than connections, stay."""
    hub, parent = Hub(timer=Timer()), SimpleNamespace(steps=[])
    parent.hub = hub
    hub.on_tick.add(test_few_cancelled_time_limits_stay)
    step = TidyConnectionStep(parent)
    seen = []
    for _ in range(3):
        before = set(hub.on_tick)
        connection = Connection("redis://127.0.0.1:1/0")
        connection.transport.register_with_event_loop(SimpleNamespace(client=connection), hub)
        seen.append(hub.on_tick - before)
        step.start(parent)

    assert seen[-1] | {test_few_cancelled_time_limits_stay} == hub.on_tick
    assert all(len(calls) == 1 for calls in seen)
    hub.close()


def test_channels_of_a_closed_connection_are_forgotten() -> None:
    """Though nobody could close them; those of an open connection are not."""
    opened, broken = Connection("memory://"), Connection("memory://")
    before = set(util._finalizer_registry)
    kept = opened.channel().qos
    lost = broken.channel().qos
    assert 2 == len(set(util._finalizer_registry) - before)
    broken.transport.client = None  # which is all that Kombu can do when nobody answers

    assert 1 == forget_dead_channels()

    left = {wish._callback.__self__ for key, wish in util._finalizer_registry.items() if key not in before}
    assert {kept} == left
    assert lost not in left
    opened.close()
