"""The client stands alone."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROBE = """
import sys, client, client.command
loaded = {name.partition(".")[0] for name in sys.modules}
print(sorted(loaded & {"app", "tasks", "workers", "celery", "flask", "redis"}))
"""


def test_client_loads_nothing_of_the_server() -> None:
    """A fresh interpreter with the client and the whole command has no server module loaded."""
    done = subprocess.run([sys.executable, "-c", PROBE], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
