"""The input of a calibration, made of what somebody has at hand: files, tables, counts."""

import base64
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

# A file up to this size travels in the request; the server takes 10 MiB in all, and base64 makes it a third larger.
INLINE_BYTES = 2**20
# Sends a file, and returns the shape that names it.
Send = Callable[[Path], Mapping[str, str]]

# What the server's own shapes of deaths are called; a mapping with just one of these keys is one of them.
SHAPES = frozenset({"records", "counts", "matrix", "csv", "csv_base64", "upload"})


def calibration_params(
    data: object,
    *,
    algorithm: str | None = None,
    age_group: str | None = None,
    country: str | None = None,
    send: Send | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return the ``params`` of a ``calibration.va``.

    Args:
        data: with ``algorithm``, the deaths that it assigned; without, deaths by algorithm, or the params themselves.
            Deaths are a path, a pandas DataFrame or Series, a list of records, counts by cause, or one of the
            server's own shapes.
        send: uploads a file that is too large to travel in the request; else all do.
        more: any other parameter.
    Raises:
        TypeError: ``data`` is none of these.
    """
    named = {"age_group": age_group, "country": country, **more}
    given = {name: value for name, value in named.items() if value is not None}
    if algorithm is not None:
        return {"va_data": {algorithm: deaths(data, send)}, **given}
    if not isinstance(data, Mapping):
        raise TypeError("which algorithm assigned these deaths? give algorithm=, or a dict of deaths by algorithm")
    if "va_data" not in data and "use_example" not in data:
        return {"va_data": {name: deaths(one, send) for name, one in data.items()}, **given}
    params = dict(data)
    if isinstance(params.get("va_data"), Mapping):
        params["va_data"] = {name: deaths(one, send) for name, one in params["va_data"].items()}
    return params | given


def large_files(data: object, *, algorithm: str | None = None) -> list[Path]:
    """Return the files among the deaths that ``calibration_params`` would send: for those who cannot send in between.

    Raises:
        TypeError: see ``calibration_params``.
    """
    found: list[Path] = []

    def note(path: Path) -> Mapping[str, str]:
        found.append(path)
        return {}

    calibration_params(data, algorithm=algorithm, send=note)
    return found


def deaths(data: object, send: Send | None = None) -> dict[str, Any]:
    """Return the deaths of one algorithm in a shape that the server reads.

    Raises:
        TypeError: it is nothing that deaths could be made of.
        OSError: the file cannot be read.
    """
    if isinstance(data, str | os.PathLike):
        path = Path(data)
        if send is not None and path.stat().st_size > INLINE_BYTES:
            return dict(send(path))
        return {"csv_base64": base64.b64encode(path.read_bytes()).decode()}
    if isinstance(data, Mapping):
        if len(data) == 1 and SHAPES.issuperset(data):
            return dict(data)
        return {"counts": dict(data)}
    if hasattr(data, "to_csv") and hasattr(data, "columns"):  # a DataFrame; pandas itself is not needed here
        return {"csv": data.to_csv(index=False)}
    if hasattr(data, "to_dict"):  # a Series of counts by cause
        return {"counts": data.to_dict()}
    if isinstance(data, list | tuple):
        return {"records": list(data)}
    raise TypeError(f"deaths are a path, a table, records or counts by cause, not {type(data).__name__}")
