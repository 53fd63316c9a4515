"""What number and range inputs accept, as JSON Schema."""

import re
from decimal import Decimal
from typing import Any

from tasks.discovery.engine.page import Control

# "Valid floating-point number" of the HTML standard, 2.3.4.3.
_FLOAT = re.compile(r"-?([0-9]+(\.[0-9]+)?|\.[0-9]+)([eE][-+]?[0-9]{1,3})?")


def number_rules(control: Control) -> dict[str, Any]:
    """Return type, bounds, step and default of a number or range control.

    The step counts from ``min``, else from the value that the page came with, else from 0. Only steps that count from a
    multiple of themselves are a ``multipleOf``.
    """
    least, most = _parse(control.min), _parse(control.max)
    if control.type == "range":
        least = Decimal(0) if least is None else least
        most = Decimal(100) if most is None else most
    value = _parse(control.value)
    base = least if least is not None else value or Decimal(0)
    if control.type == "range" and _parse(control.min) is None and value is not None:
        base = value
    step = None if control.step.lower() == "any" else _parse(control.step)
    if step is None or step <= 0:
        step = None if control.step.lower() == "any" else Decimal(1)
    is_whole = step is not None and step == step.to_integral_value() and base == base.to_integral_value()
    schema: dict[str, Any] = {"type": "integer" if is_whole else "number"}
    if least is not None:
        schema["minimum"] = _plain(least)
    # Where the most is less than the least, a range stays at its least, and a number has no value that is sent.
    if most is not None and (control.type == "number" or least is None or most >= least):
        schema["maximum"] = _plain(most)
    if step is not None and base % step == 0 and not (is_whole and step == 1):
        schema["multipleOf"] = _plain(step)
    if value is not None and _allows(value, least=least, most=most, step=step, base=base):
        schema["default"] = _plain(value)
    return schema


def _allows(
    value: Decimal, *, least: Decimal | None, most: Decimal | None, step: Decimal | None, base: Decimal
) -> bool:
    if (least is not None and value < least) or (most is not None and value > most):
        return False
    return step is None or (value - base) % step == 0


def _parse(text: str) -> Decimal | None:
    return Decimal(text.strip()) if _FLOAT.fullmatch(text.strip()) else None


def _plain(number: Decimal) -> int | float:
    return int(number) if number == number.to_integral_value() else float(number)
