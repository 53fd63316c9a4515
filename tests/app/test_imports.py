"""What the web process loads."""

import json
import os
import subprocess
import sys
from pathlib import Path

_ENGINES = {"playwright", "rpy2", "torch", "trafilatura", "protego", "lxml", "onnxruntime", "transformers"}
_ENGINES |= {"matplotlib", "pyarrow"}
_BUILD = """
import json, sys
from app.factory import create_app
from app.services import services_of
from tasks.core.settings import load_settings
app = create_app(load_settings())
assert app.test_client().get("/openapi/openapi.json").status_code == 200
services_of(app).close()
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def test_web_application_loads_no_engine_library(tmp_path: Path) -> None:
    """A fresh interpreter builds the app and knows no engine."""
    env = os.environ | {"SWITCHYARD_STATE_DIR": str(tmp_path), "SWITCHYARD_LOG_LEVEL": "error"}
    built = subprocess.run([sys.executable, "-c", _BUILD], env=env, capture_output=True, text=True, check=True)
    assert _ENGINES & set(json.loads(built.stdout.splitlines()[-1])) == set()


def test_importing_the_package_does_no_work(tmp_path: Path) -> None:
    """No file, connection or setting is touched at import."""
    env = os.environ | {"SWITCHYARD_STATE_DIR": str(tmp_path / "state"), "SWITCHYARD_PORT": "no port"}
    subprocess.run([sys.executable, "-c", "import app.factory, app.server, app.keys"], env=env, check=True)
    assert not (tmp_path / "state").exists()
