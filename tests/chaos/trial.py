"""One run of one scenario: its seed, its folder, its time bound, and how fast the house's clocks run."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
_POLL_S = 0.05


class OutOfTime(AssertionError):
    """Something did not come true within its limit, or the scenario ran over its bound."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The settings of the house that decide how fast a fault is noticed, in seconds."""

    beat_s: float
    lease_s: float
    carry_again_s: float
    cancel_grace_s: float

    def settings(self) -> dict[str, str]:
        """Return them as settings without their prefix."""
        return {name: f"{getattr(self, name):g}" for name in self.__slots__}


PRODUCTION = Pace(beat_s=1.0, lease_s=10.0, carry_again_s=20.0, cancel_grace_s=2.0)
# A lease that a starved machine does not let run out; where a worker must be missed soon, the scenario shortens it.
SCALED = Pace(beat_s=0.5, lease_s=5.0, carry_again_s=2.0, cancel_grace_s=1.0)


@dataclass(slots=True)
class Trial:
    """Given to a scenario; every wait goes through it, so that none outlasts the bound.

    Args:
        quick: few jobs and scaled pace, for the subset in `make test`; else production values.
        ledger: ``sqlite`` or ``postgresql``.
        mutant: the guard that is switched off, or None.
        say: shows one line of progress.
    """

    scenario: str
    seed: int
    folder: Path
    bound_s: float
    quick: bool = False
    ledger: str = "sqlite"
    mutant: str | None = None
    say: Callable[[str], None] = print
    chance: random.Random = field(init=False)
    began_at: float = field(init=False)

    def __post_init__(self) -> None:
        self.chance = random.Random(f"{self.scenario}-{self.seed}")
        self.began_at = time.monotonic()

    @property
    def pace(self) -> Pace:
        """How fast the house's clocks run."""
        return SCALED if self.quick else PRODUCTION

    @property
    def left_s(self) -> float:
        """Seconds until the bound."""
        return self.began_at + self.bound_s - time.monotonic()

    def pick(self, *, quick: T, full: T) -> T:
        """Return the size of something for this run."""
        return quick if self.quick else full

    def patient_s(self, limit_s: float) -> float:
        """Return the fault table's limit, tripled for the quick run, which shares its machine with other tests."""
        return 3 * limit_s if self.quick else limit_s

    def sleep(self, seconds: float) -> None:
        """Wait.

        Raises:
            OutOfTime: the bound is nearer.
        """
        if seconds > self.left_s:
            raise OutOfTime(f"{self.scenario} ran over its bound of {self.bound_s:g} s")
        time.sleep(max(0.0, seconds))

    def await_true(self, condition: Callable[[], Any], what: str, *, within_s: float = 600.0) -> Any:
        """Poll until ``condition`` returns something true, and return that.

        Raises:
            OutOfTime: not within ``within_s``, or not before the bound.
        """
        limit_s = min(within_s, self.left_s)
        deadline = time.monotonic() + limit_s
        while True:
            if value := condition():
                return value
            if time.monotonic() > deadline:
                raise OutOfTime(f"not within {limit_s:.0f} s: {what}")
            time.sleep(_POLL_S)
