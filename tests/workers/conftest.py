"""A dispatcher to be driven by hand."""

from collections.abc import Iterator

import pytest
from celery import Celery
from structlog.testing import capture_logs

from tasks.core.kernel import Kernel
from workers.dispatcher import Dispatcher
from workers.judge import Every


@pytest.fixture
def dispatcher(kernel: Kernel, sender: Celery, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dispatcher]:
    """A dispatcher that does everything at each tick."""
    monkeypatch.setattr(Every, "is_due", lambda _: True)
    dispatcher = Dispatcher(kernel, sender)
    with capture_logs():
        yield dispatcher
    dispatcher._publisher.close()
    dispatcher._broker.close()
