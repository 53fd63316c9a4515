"""``switchyard matrices`` and the client's matrices, against the real front door."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.openapi import API
from client import AsyncSwitchyard, Conflict, InputRejected, Switchyard
from client.command import main
from tests.app.conftest import Caller
from tests.app.streams.house import served
from tests.calibration.matrices import table

COUNTS = {
    "pneumonia": 30,
    "ipre": 20,
    "prematurity": 25,
    "sepsis_meningitis_inf": 22,
    "congenital_malformation": 9,
    "other": 4,
}
Command = Callable[..., int]


@pytest.fixture
def url(app: API) -> Iterator[str]:
    """Where the front door answers."""
    with served(app) as address:
        yield f"http://{address}"


@pytest.fixture
def client(url: str, alice: Caller) -> Iterator[Switchyard]:
    """A tenant's client."""
    with Switchyard(url, alice.key) as client:
        yield client


@pytest.fixture
def switchyard(url: str, alice: Caller) -> Command:
    """Run one command; return its exit code."""

    def run(*arguments: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main(["--url", url, "--key", alice.key, *arguments])
        return int(str(ended.value.code))

    return run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A table of matrices."""
    path = tmp_path / "our matrices.csv"
    path.write_text(table())
    return path


def test_a_file_is_imported_listed_shown_and_deleted(client: Switchyard, file: Path, tmp_path: Path) -> None:
    """By the client; the set's name is made of the file's."""
    found = client.matrices.add(file)
    assert ("our-matrices@1", True, "our matrices.csv") == (found.title, found.created, found.source)
    assert client.matrices.add(file, name="b").created is False
    assert [found.id] == [one.id for one in client.matrices.list()]
    (matrix,) = client.matrices.show("our-matrices", age_group="neonate", algorithm="eava", country="Kenya").matrices
    assert (20.0, 1.5, 1.5, 1.5, 1.5, 1.5) == matrix.prior[0]  # type: ignore[index]
    drawn = client.matrices.figure(
        found.title, tmp_path / "a.svg", age_group="neonate", algorithm="eava", country="Kenya"
    )
    assert drawn.read_text().startswith("<svg")
    file.write_text(table(own=30))
    with pytest.raises(Conflict, match="other numbers"):
        client.matrices.add(file, version="1")
    client.matrices.delete(found.title)
    assert [] == client.matrices.list()


def test_the_asyncio_client_does_the_same(url: str, alice: Caller, file: Path, tmp_path: Path) -> None:
    """Imported, listed, shown, drawn and deleted, awaited."""

    async def main() -> None:
        async with AsyncSwitchyard(url, alice.key) as client:
            found = await client.matrices.add(file, version="7", also_countries=["Kenya"])
            assert ("our-matrices@7", True) == (found.title, found.created)
            assert [found.id] == [one.id for one in await client.matrices.list()]
            shown = await client.matrices.show(found.title, age_group="neonate", algorithm="eava", country="Kenya")
            assert 1 == len(shown.matrices)
            drawn = await client.matrices.figure(
                found.id, tmp_path / "a.svg", age_group="neonate", algorithm="eava", country="Kenya"
            )
            assert drawn.read_bytes().startswith(b"<svg")
            await client.matrices.delete(found.title)
            assert [] == await client.matrices.list()

    asyncio.run(main())


def test_a_preview_tells_what_a_calibration_would_do(client: Switchyard, file: Path) -> None:
    """With the arguments of calibrate; what does not fit raises the same error."""
    client.matrices.add(file)
    told = client.preview_calibration(COUNTS, algorithm="eava", age_group="neonate", country="Kenya")
    assert 110 == told["algorithms"]["eava"]["total"]
    with pytest.raises(InputRejected) as refused:
        client.preview_calibration(COUNTS, algorithm="eava", age_group="neonate", country="Kenia")
    assert ["country"] == [error.field for error in refused.value.errors]


def test_the_command_says_what_it_did(
    switchyard: Command, file: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Imported, there already, listed, shown, drawn, deleted."""
    assert 0 == switchyard("matrices", "list")
    assert "switchyard matrices import FILE" in capsys.readouterr().err
    assert 0 == switchyard("matrices", "import", str(file), "--name", "a", "--version", "2030", "--source", "us")
    assert "imported as a@2030: 4 matrices (eava, insilicova; neonate)" in capsys.readouterr().out
    assert 0 == switchyard("matrices", "import", str(file))
    assert "these numbers are there already, as a@2030" in capsys.readouterr().out
    assert 0 == switchyard("matrices", "list")
    assert "a@2030\t4\teava, insilicova\tneonate\t2\tno\t" in capsys.readouterr().out
    one = ["--age", "neonate", "--algorithm", "eava", "--country", "Kenya"]
    assert 0 == switchyard("matrices", "show", "a", *one)
    assert "1 congenital_malformation  73   5   5   5   5   5" in capsys.readouterr().out
    assert 0 == switchyard("matrices", "show", "a", *one, "--figure", str(tmp_path / "a.svg"))
    assert 2 == switchyard("matrices", "show", "a", "--figure", str(tmp_path / "b.svg"))
    assert 0 == switchyard("matrices", "show", "a", "--json")
    assert 4 == len(json.loads(capsys.readouterr().out.splitlines()[-1])["matrices"])
    assert 0 == switchyard("matrices", "delete", "a@2030")
    assert 4 == switchyard("matrices", "delete", "a@2030")


def test_faults_exit_2_with_each_place(switchyard: Command, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As a person can mend them; nothing is imported."""
    file.write_text(table().replace("Kenya", "Kenia"))
    assert 2 == switchyard("matrices", "import", str(file))
    assert "column country: 'Kenia' is no country: did you mean 'Kenya'?" in capsys.readouterr().err
    for arguments in ([], [str(file), "--from-r"], ["none.csv"], ["--from-r", "--source", "x"]):
        assert 2 == switchyard("matrices", "import", *arguments)
    assert 0 == switchyard("matrices", "import", str(file), "--also-country", "Kenia")


def test_a_calibration_without_matrices_says_how_to_get_them(
    switchyard: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2, the field, and one line that mends it."""
    deaths = tmp_path / "deaths.csv"
    deaths.write_text("cause,count\n" + "".join(f"{cause},{count}\n" for cause, count in COUNTS.items()))
    ask = ["calibrate", str(deaths), "--algorithm", "eava", "--age", "neonate", "--country", "Kenya"]
    assert 2 == switchyard(*ask)
    error = capsys.readouterr().err
    assert "params.country: No matrices are there" in error
    assert "`switchyard matrices import FILE`" in error
    assert 2 == switchyard(*ask, "--preview")
    capsys.readouterr()
    matrices = tmp_path / "m.csv"
    matrices.write_text(table())
    assert 0 == switchyard("matrices", "import", str(matrices))
    assert 0 == switchyard(*ask, "--preview")
    out = capsys.readouterr().out
    assert "other\t4 [a]" in out
    assert "[a] left as observed: the default for a cause named other" in out
    assert 0 == switchyard(*ask)
