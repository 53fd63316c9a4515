"""What docs/client.md says is what the code does."""

import dataclasses
from pathlib import Path

import pytest

from client import Limits
from client.command import cli
from client.command.exits import Exit

PAGE = (Path(__file__).parents[2] / "docs/client.md").read_text()


@pytest.mark.parametrize("limit", dataclasses.fields(Limits), ids=lambda limit: limit.name)
def test_limit_is_documented_with_its_default(limit: "dataclasses.Field[float]") -> None:
    """Each limit has its row."""
    assert f"| `{limit.name}` | {limit.default:g} |" in PAGE


@pytest.mark.parametrize("code", Exit)
def test_exit_code_is_documented(code: Exit) -> None:
    """Each exit code has its row."""
    assert f"| {int(code)} |" in PAGE


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_command_is_documented(name: str) -> None:
    """Each command has its row."""
    assert f"| `{name}" in PAGE
