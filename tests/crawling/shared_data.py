"""Finding the data sets that live beside the repository."""

from pathlib import Path

import pytest


def shared(name: str) -> Path:
    """Return the path of a shared data file; skip the test, visibly, where it is absent."""
    path = Path(__file__).parents[3] / "shared" / "data" / name
    if not path.exists():
        pytest.skip(f"needs the shared data set {name}")
    return path
