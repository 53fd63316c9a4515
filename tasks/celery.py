"""The Celery application: ``celery -A tasks worker -Q crawler`` finds it here."""

import atexit
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from celery import Celery

from tasks.core.errors import AppError
from tasks.core.kernel import Kernel, open_kernel
from tasks.core.meanwhile import Meanwhile
from tasks.core.relay import tell_ends
from tasks.core.settings import load_settings
from tasks.core.spec import JobSpec
from tasks.core.telemetry import Telemetry, configure_telemetry
from tasks.registry import load_specs

if TYPE_CHECKING:
    from tasks.core.streak import Streaks


class SwitchyardCelery(Celery):  # type: ignore[misc]  # Celery has no types
    """Celery, plus the kernel of this process."""

    # Set in a worker's child.
    is_child = False

    @cached_property
    def kernel(self) -> Kernel:
        """The kernel, opened on first use in this process; closed when the process ends.

        A worker's child has time to tell of an end while its parent fetches the next job.
        """
        kernel = open_kernel(load_settings())
        if not self.is_child:
            return kernel
        return replace(kernel, meanwhile=Meanwhile(partial(tell_ends, kernel.ledger, kernel.events)))

    @cached_property
    def streaks(self) -> "Streaks | None":
        """How this process takes further messages by itself, if it is a worker's child."""
        if not self.is_child:
            return None
        from tasks.core.streak import Streaks  # noqa: PLC0415  # not where there is no Redis

        prefix = str(self.conf.broker_transport_options.get("global_keyprefix", ""))
        return Streaks(self.kernel.settings.redis_url, key_prefix=prefix)

    def open_early(self) -> None:
        """Load and open what every job needs, so that the first one does not wait for it.

        What is away now is opened by the first job.
        """
        from tasks.core.ledger import transitions  # noqa: PLC0415  # what submits only needs none of it

        with suppress(AppError):
            kernel, _, _ = self.kernel, self.streaks, self.telemetry
            transitions.make_ready(kernel.ledger)

    @cached_property
    def specs(self) -> Mapping[str, JobSpec]:
        """Every kind of this installation, by name."""
        return load_specs(load_settings().extra_families)

    @cached_property
    def telemetry(self) -> Telemetry:
        """Traces and error reports of this process; off unless the settings name where they go."""
        telemetry = configure_telemetry(load_settings(), service="switchyard-worker")
        atexit.register(telemetry.close)
        return telemetry

    def __reduce__(self) -> Any:
        """Travel to a worker's child by name, so that it has this application once, with one kernel.

        Celery would rebuild an application there, beside the one that modules import (``celery/app/base.py``, 5.7).
        """
        return (_the_app, ()) if self is app else super().__reduce__()


def _the_app() -> SwitchyardCelery:
    return app


app = SwitchyardCelery("switchyard")
app.config_from_object("celeryconfig")
