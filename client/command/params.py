"""Reading a job's input from the command line."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

import click


def from_pairs(pairs: Iterable[str]) -> dict[str, Any]:
    """Read ``key=value`` pairs: JSON where the value parses as JSON, else text; dots in a key make objects.

    Raises:
        click.BadParameter: a pair has no ``=``, or contradicts another one.
    """
    params: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not all(key.split(".")):
            raise click.BadParameter(f"{pair!r}: expected key=value", param_hint="--param")
        *parents, last = key.split(".")
        place = params
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise click.BadParameter(f"{key}: {parent} has a value already", param_hint="--param")
        if last in place:
            raise click.BadParameter(f"{key}: given twice; write lists as JSON: {key}='[1, 2]'", param_hint="--param")
        place[last] = _value(value)
    return params


def from_file(name: str) -> dict[str, Any]:
    """Read the whole input from a JSON file, or from stdin for ``-``.

    Raises:
        click.BadParameter: not readable, not JSON, or not an object.
    """
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        params = json.loads(text)
    except (OSError, ValueError) as exc:
        raise click.BadParameter(f"{name}: {exc}", param_hint="--json") from exc
    if not isinstance(params, dict):
        raise click.BadParameter(f"{name}: expected a JSON object", param_hint="--json")
    return params


def inline(text: str, *, hint: str) -> dict[str, Any]:
    """Read a JSON object as it is given, or from a file for ``@FILE``.

    Raises:
        click.BadParameter: not readable, not JSON, or not an object.
    """
    try:
        given = json.loads(Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text)
    except (OSError, ValueError) as exc:
        raise click.BadParameter(str(exc), param_hint=hint) from exc
    if not isinstance(given, dict):
        raise click.BadParameter("expected a JSON object", param_hint=hint)
    return given


def labels(pairs: Iterable[str]) -> dict[str, str]:
    """Read ``key=value`` labels as text."""
    split = [pair.partition("=") for pair in pairs]
    if bad := next((key for key, equals, _ in split if not (key and equals)), None):
        raise click.BadParameter(f"{bad!r}: expected key=value", param_hint="--label")
    return {key: value for key, _, value in split}


def files(pairs: Iterable[str]) -> dict[str, str]:
    """Read ``place=file`` pairs: where in the input each file is named.

    Raises:
        click.BadParameter: a pair has no ``=``, names a place twice, or a file that is not there.
    """
    named: dict[str, str] = {}
    for pair in pairs:
        place, equals, name = pair.partition("=")
        if not equals or not all(place.split(".")):
            raise click.BadParameter(f"{pair!r}: expected place.in.input=file", param_hint="--file")
        if place in named:
            raise click.BadParameter(f"{place}: given twice", param_hint="--file")
        if not Path(name).is_file():
            raise click.BadParameter(f"{name}: no such file", param_hint="--file")
        named[place] = name
    return named


def _value(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError:
        return text


def _refuse(constant: str) -> NoReturn:
    # NaN and Infinity are Python's own extension of JSON; on the command line they are words.
    raise ValueError(constant)
