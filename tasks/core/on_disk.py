"""What a loss of power must leave where it was put."""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Wait until the disk has which names stand in ``folder``.

    Raises:
        OSError: the disk failed, or there is no such folder.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
