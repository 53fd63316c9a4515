"""What work costs by the price table ``prices.json``. What is not in it has no price, and never a guessed one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tasks.core.errors import ConfigurationRefused
from tasks.discovery.contract import RUN, SITE, TOOL, Cost, RanIn

# A ten-thousandth of a cent: below it nobody is charged, and sums stay readable.
_DIGITS = 6
_BY = " by "


def run_method(ran_in: RanIn) -> str:
    """Return the method of a run of a tool."""
    return f"{RUN}{_BY}{ran_in}"


METHODS = (SITE, TOOL, run_method("http"), run_method("browser"))
"""How work is done: costs are kept and summed by these."""


class ModelPrice(BaseModel):
    """Of a language model, per 1,000 tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    in_per_1k: float = Field(ge=0)
    out_per_1k: float = Field(ge=0)


class PriceTable(BaseModel):
    """Prices in one currency. ``runs`` are the flat prices of one job by how it was done, as costs are summed by it
    (``METHODS``), else of one of its kind; one that is absent has none known.

    ``browser_per_minute`` is None where a browser's time is not known to cost anything in particular.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    currency: str = Field(min_length=3, max_length=3)
    updated: str
    models: dict[str, ModelPrice]
    browser_per_minute: float | None = Field(ge=0)
    runs: dict[str, float]

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Return the table of a file, else the one that comes with this version.

        Raises:
            ConfigurationRefused: the file is no price table.
        """
        try:
            text = path.read_text("utf-8") if path else resources.files(__package__).joinpath("prices.json").read_text()
            return cls.model_validate(json.loads(text))
        except (OSError, ValueError, ValidationError) as exc:
            raise ConfigurationRefused(f"SWITCHYARD_DISCOVERY_PRICES: {path} is no price table: {exc}") from exc


@dataclass(slots=True)
class Usage:
    """What a job has used so far. ``model_name`` is empty as long as no model was asked; ``is_counted`` is whether it
    has told the tokens."""

    browser_s: float = 0.0
    tokens_in: int = 0
    tokens_out: int = 0
    model_name: str = ""
    is_counted: bool = True


@dataclass(frozen=True, slots=True)
class Pricing:
    """Turns usage into cost."""

    table: PriceTable = field(default_factory=PriceTable.load)

    def cost(self, method: str, usage: Usage, *, tools: int = 0) -> Cost:
        """Return the cost of a job; null parts and a null total where a price is not known.

        Args:
            method: how it was done: one of ``METHODS``.
            tools: how many it found.
        """
        flat = self.table.runs.get(method, self.table.runs.get(method.partition(_BY)[0]))
        parts = {"model": self._of_model(usage), "browser": self._of_browser(usage), "runs": flat}
        total = None if None in parts.values() else sum(part for part in parts.values() if part is not None)
        rounded: Mapping[str, Any] = {name: _rounded(part) for name, part in parts.items()}
        return Cost(
            currency=self.table.currency,
            total=_rounded(total),
            per_tool=_rounded(total / tools) if tools and total is not None else None,
            browser_s=round(usage.browser_s, 3),
            tokens_in=usage.tokens_in,
            tokens_out=usage.tokens_out,
            model_name=usage.model_name,
            **rounded,
        )

    def _of_model(self, usage: Usage) -> float | None:
        if not usage.is_counted:
            return None
        if not usage.tokens_in and not usage.tokens_out:
            return 0.0
        price = self.table.models.get(usage.model_name)
        if price is None:
            return None
        return (usage.tokens_in * price.in_per_1k + usage.tokens_out * price.out_per_1k) / 1000

    def _of_browser(self, usage: Usage) -> float | None:
        if not usage.browser_s:
            return 0.0
        per_minute = self.table.browser_per_minute
        return None if per_minute is None else usage.browser_s / 60 * per_minute


def _rounded(amount: float | None) -> float | None:
    return None if amount is None else round(amount, _DIGITS)
