"""What a process has freed goes back to the machine."""

import platform
import subprocess
import sys

import pytest

# Pieces as large as SQLite's pages; every other one stays until half of them are freed in one go.
_PROGRAM = """
import ctypes, time
from tasks.core.heap_trimming import keep_trimmed

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]

def held():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 >> 20

pieces = []
for _ in range(40_000):
    piece = libc.malloc(4360)
    ctypes.memset(piece, 1, 4360)
    pieces.append(piece)
last = pieces[-1]
for piece in pieces[:-1]:
    libc.free(piece)
before = held()
keep_trimmed(every_s=0.05)
deadline = time.monotonic() + 30
while before - held() < 100 and time.monotonic() < deadline:
    time.sleep(0.05)
print(before - held())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps what is freed so")
def test_freed_pages_go_back_although_something_behind_them_stays() -> None:
    """Of 166 MiB below one piece that is still in use, glibc alone gives back none."""
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=60, check=True)

    assert int(done.stdout) >= 100
