"""What every folder of tests with a real Chromium has in common; each ``conftest`` takes both."""

import shutil
from pathlib import Path

import pytest


def keep_together(items: list[pytest.Item], conftest: str, *, timeout_s: float) -> None:
    """Mark the tests beside and below ``conftest`` as slow, and keep them in one process."""
    folder = Path(conftest).parent
    for item in items:
        if item.path.is_relative_to(folder):
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(timeout_s))
            item.add_marker(pytest.mark.xdist_group("browser"))


@pytest.fixture(scope="session", autouse=True)
def chromium() -> str:
    """Chromium's program; without one, all of the folder is skipped."""
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("no Chromium here: make setup installs it")
    return found
