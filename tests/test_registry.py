"""The registry: every family's kinds, each once, and families of the operator's own."""

import subprocess
import sys
from pathlib import Path

import pytest

from tasks.core.errors import ConfigurationRefused
from tasks.maintenance.contract import PING
from tasks.registry import load_specs

_CONTRACT = """
from tasks.maintenance.contract import SPECS as OURS
from dataclasses import replace
SPECS = (replace(OURS[0], kind={kind!r}),)
"""


@pytest.fixture
def family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # a function
    """Write a family of the operator's own."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name: str, contract: str) -> str:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
        (tmp_path / name / "contract.py").write_text(contract)
        return name

    return write


def test_our_kinds_are_found_by_name() -> None:
    """Each under its own."""
    specs = load_specs()
    assert specs[PING].kind == PING
    assert [kind for kind, spec in specs.items() if kind != spec.kind] == []


def test_operators_family_adds_its_kinds(family) -> None:
    """Beside ours."""
    name = family("own_family", _CONTRACT.format(kind="own.work"))
    assert set(load_specs([name])) - set(load_specs()) == {"own.work"}


def test_kind_claimed_twice_is_refused(family) -> None:
    """The message names the kind and the second family."""
    name = family("thief", _CONTRACT.format(kind=PING))
    with pytest.raises(ConfigurationRefused, match=r"maintenance\.ping.*thief"):
        load_specs([name])


def test_family_without_contract_is_refused(family) -> None:
    """Missing, empty or broken: the message names the package."""
    for name in ("no_such_package", family("empty_family", ""), family("broken_family", "import no_such_module")):
        with pytest.raises(ConfigurationRefused, match=name):
            load_specs([name])


def test_specs_cannot_be_changed() -> None:
    """One process has one catalogue."""
    with pytest.raises(TypeError):
        load_specs()["x"] = None


def test_loading_contracts_loads_no_engine_and_no_broker() -> None:
    """The web process reads the catalogue and nothing more."""
    code = (
        "import sys; from tasks.registry import load_specs; load_specs();"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'celery', 'redis', 'flask', 'trafilatura'}))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"
