"""Gives memory that this process has freed back to the machine, now and then."""

import ctypes
import platform
import time
from collections.abc import Callable
from threading import Thread

# To trim takes some milliseconds of a processor, and no other thread may allocate meanwhile.
_EVERY_S = 60.0


def keep_trimmed(*, every_s: float = _EVERY_S) -> Thread | None:
    """Trim the heap again and again, on a thread that ends with the process; None where there is no glibc.

    What SQLite reads it keeps page by page in the heap and frees page by page, among what stays. glibc gives back only
    what lies at the heap's very end, so that a process holds the most that it ever held, in the worst places.
    """
    trim = _trim()
    if trim is None:
        return None

    def run() -> None:
        while True:
            time.sleep(every_s)
            trim(0)

    thread = Thread(target=run, name="heap-trimming", daemon=True)
    thread.start()
    return thread


def _trim() -> Callable[[int], int] | None:
    if platform.libc_ver()[0] != "glibc":
        return None
    return ctypes.CDLL(None).malloc_trim  # int malloc_trim(size_t), says its manual
