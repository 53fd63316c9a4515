"""What a discovery leaves out, with the reason: counted in full, told in part."""

from dataclasses import dataclass, field
from typing import Literal

from tasks.discovery.contract import MAX_NOTES, Skipped

What = Literal["page", "source", "tool", "link"]
# Links to other sites and to images are counted; naming each would hide what matters.
_OF_ONE_REASON = 10


@dataclass(slots=True)
class Notes:
    """Filled while a discovery goes on. ``is_partial``: something failed that might have held tools."""

    told: list[Skipped] = field(default_factory=list)
    count: int = 0
    is_partial: bool = False
    _by_reason: dict[tuple[str, str], int] = field(default_factory=dict)

    def skip(self, what: What, name: str, *, reason: str, message: str = "") -> None:
        """Note that something was left out."""
        self.count += 1
        self.is_partial |= reason in {"failed", "too_slow"}
        seen = self._by_reason.get((what, reason), 0)
        self._by_reason[what, reason] = seen + 1
        if seen < _OF_ONE_REASON and len(self.told) < MAX_NOTES:
            self.told.append(Skipped(what=what, name=name[:2048], reason=reason, message=message[:500]))
