"""Flower, read-only and never open: history, depth and age come from the ledger, and acts go through the API."""

import os
import sys

from tasks.core.errors import ConfigurationRefused
from tasks.core.settings import Settings

# Flower keeps tasks in memory; this many are enough to look at, the ledger has the rest.
_TASKS_KEPT = 10_000


def run_flower(settings: Settings, *, address: str, port: int) -> None:
    """Become the Flower process.

    Raises:
        ConfigurationRefused: no password is set.
    """
    if settings.flower_password is None:
        raise ConfigurationRefused("SWITCHYARD_FLOWER_PASSWORD: Flower does not start without a password")
    options = {
        "FLOWER_BASIC_AUTH": f"{settings.flower_user}:{settings.flower_password.get_secret_value()}",
        "FLOWER_READ_ONLY": "True",
        "FLOWER_ADDRESS": address,
        "FLOWER_PORT": str(port),
        "FLOWER_MAX_TASKS": str(_TASKS_KEPT),
        "FLOWER_PURGE_OFFLINE_WORKERS": "300",
    }
    # By the environment, not the command line: a password there is seen by everybody on the machine.
    os.execve(sys.executable, [sys.executable, "-m", "celery", "-A", "tasks", "flower"], {**os.environ, **options})  # noqa: S606  # our own command, no shell
