"""What a process and everything below it holds."""

import psutil


def held_bytes(pid: int) -> int:
    """Return what ``pid`` and all its descendants hold for themselves; 0 when it is gone.

    Pages that they share (a library, a browser's shared memory) are left out: counted once for each process, they
    would make a browser look several times its size.
    """
    try:
        child = psutil.Process(pid)
        family = [child, *child.children(recursive=True)]
    except psutil.Error:
        return 0
    return sum(map(_own_bytes, family))


def _own_bytes(process: psutil.Process) -> int:
    try:
        memory = process.memory_info()
    except psutil.Error:  # it has just ended
        return 0
    return int(memory.rss - memory.shared)
