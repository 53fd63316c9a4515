"""Every scenario there is, by the id of its row in the fault table."""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tests.chaos import scenarios
from tests.chaos.trial import Trial
from tests.chaos.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row of the fault table.

    Args:
        id: the row's: F1 to F22 of the fault table, or R10 of the requirements.
        title: what happens, in a line.
        bound_s: no run may take longer.
        quick_bound_s: the same for the quick run, whose machine is busy with other tests.
        play: runs it once.
        mutants: the guards without which it must fail.
    """

    id: str
    title: str
    play: Callable[[Trial], Verdict]
    bound_s: float
    quick_bound_s: float = 270.0
    mutants: tuple[str, ...] = ()


def load_scenarios() -> Mapping[str, Scenario]:
    """Return the scenarios of every module of ``tests.chaos.scenarios``, in the order of their rows."""
    found: list[Scenario] = []
    for module in pkgutil.iter_modules(scenarios.__path__, "tests.chaos.scenarios."):
        found += importlib.import_module(module.name).SCENARIOS
    assert len({scenario.id for scenario in found}) == len(found), "two scenarios have one id"
    return MappingProxyType(
        {scenario.id: scenario for scenario in sorted(found, key=lambda one: (one.id[0], int(one.id[1:])))}
    )
