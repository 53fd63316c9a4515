"""The house rules that a machine can check: who imports whom, how long a module gets, what an import may do."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tasks.registry import FAMILIES

ROOT = Path(__file__).parents[1]
PACKAGES = ("app", "client", "tasks", "workers")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

_IMPORT_ALL = """
import importlib, pkgutil, sys, threading
names = []
for package in ("app", "client", "tasks", "workers"):
    root = importlib.import_module(package)
    names += [found.name for found in pkgutil.walk_packages(root.__path__, f"{package}.")]
for name in names:
    if not name.endswith("__main__") and ".migrations." not in name:
        importlib.import_module(name)
print(len(names) > 50, threading.active_count())
"""


def run(*command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environ or None, capture_output=True, text=True, check=False
    )


def contracts() -> list[dict[str, object]]:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return config["tool"]["importlinter"]["contracts"]


def test_import_rules_are_kept() -> None:
    """import-linter finds every contract of ``pyproject.toml`` kept; ``make check`` runs it too."""
    answer = run("-c", "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))")
    assert (0, "") == (answer.returncode, answer.stderr), answer.stdout


def test_every_family_is_under_the_import_rules() -> None:
    """A new family is named beside the others, in each contract about families."""
    layers, _, inside, engines, _, front = contracts()
    assert " | ".join(sorted(FAMILIES)) in layers["layers"]
    assert sorted(FAMILIES) == inside["containers"]
    assert [f"{family}.engine" for family in sorted(FAMILIES)] == engines["source_modules"]
    assert {f"{family}.{part}" for family in FAMILIES for part in ("task", "engine")} <= set(front["forbidden_modules"])


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_is_longer_than_500_lines(package: str) -> None:
    """Longer ones are split before they are merged."""
    lengths = {
        str(path.relative_to(ROOT)): path.read_text().count("\n")
        for path in MODULES
        if path.relative_to(ROOT).parts[0] == package
    }
    assert {} == {name: length for name, length in lengths.items() if length >= 500}


def test_public_names_are_documented() -> None:
    """interrogate's bar in ``pyproject.toml`` is met; ``make test`` runs it too."""
    answer = run("-m", "interrogate", "--quiet", *PACKAGES)
    assert 0 == answer.returncode, run("-m", "interrogate", "-v", *PACKAGES).stdout


def test_importing_reads_no_settings_and_starts_nothing() -> None:
    """With a bad environment every module can be imported; only what runs builds settings, threads or connections."""
    answer = run("-W", "ignore", "-c", _IMPORT_ALL, SWITCHYARD_PORT="bad", PATH="")
    assert "True 1\n" == answer.stdout, answer.stderr


def test_catch_all_exists_where_it_was_decided() -> None:
    """The business of ``core.run``, of four loops and the duties that one has (docs/decisions/0006), of what a loop
    calls kinds' checks in, and of what is tried at the door with a job that is accepted already (0061).
    """
    found = {str(path.relative_to(ROOT)) for path in MODULES if "except Exception" in path.read_text()}
    loops = {"workers/beat.py", "workers/dispatcher.py", "workers/duties.py", "tasks/core/carrier.py"}
    checks = {"tasks/follow_ups.py", "tasks/scheduling.py"}
    assert {"tasks/core/run.py", "tasks/dispatch.py", "workers/apart.py", *checks, *loops} == found
