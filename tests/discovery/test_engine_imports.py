"""What recognition loads: a worker child must stay small, and engines know no machinery."""

import subprocess
import sys

_PROGRAM = """
import sys
import tasks.discovery.engine.form_types, tasks.discovery.engine.html_page
import tasks.discovery.engine.pagination, tasks.discovery.engine.schema, tasks.discovery.engine.sources
loaded = {name.partition(".")[0] for name in sys.modules}
print(sorted(loaded & {"celery", "flask", "playwright", "redis", "scipy", "sklearn", "sqlalchemy"}))
"""


def test_recognition_loads_no_machinery() -> None:
    """Neither the joints of the house nor what the weights were fitted with."""
    done = subprocess.run([sys.executable, "-c", _PROGRAM], check=True, stdout=subprocess.PIPE, text=True)
    assert "[]\n" == done.stdout
