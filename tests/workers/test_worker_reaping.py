"""Dead children are missed soon."""

from types import SimpleNamespace

from kombu.asynchronous import Hub
from kombu.asynchronous.timer import Timer

from workers.reaping import ReapStep


def test_the_pool_looks_for_dead_children_again_and_again() -> None:
    """By the loop of Celery's worker, as its own looks do."""
    looks: list[int] = []
    parent = SimpleNamespace(
        pool=SimpleNamespace(_pool=SimpleNamespace(maintain_pool=lambda: looks.append(1))), steps=[]
    )
    hub = Hub(timer=Timer())
    ReapStep(parent).register_with_event_loop(parent, hub)
    turns = hub.loop
    while len(looks) < 3:
        next(turns)
    hub.close()
