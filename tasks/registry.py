"""Every kind there is, looked up by name. Loads contracts only: no engine, no Celery task."""

import importlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from tasks.core.errors import ConfigurationRefused
from tasks.core.spec import JobSpec

FAMILIES = (
    "tasks.calibration",
    "tasks.connectors",
    "tasks.crawling",
    "tasks.discovery",
    "tasks.knowledge",
    "tasks.maintenance",
    "tasks.publishing",
)


def load_specs(extra_families: Sequence[str] = ()) -> Mapping[str, JobSpec]:
    """Return the specs of our families and of the operator's own, by kind.

    Raises:
        ConfigurationRefused: a package has no usable ``contract.py``, or two claim one kind.
    """
    specs: dict[str, JobSpec] = {}
    for family in (*FAMILIES, *extra_families):
        for spec in _specs_of(family):
            if spec.kind in specs:
                raise ConfigurationRefused(f"Two families claim the kind {spec.kind!r}; the second is {family}.")
            specs[spec.kind] = spec
    return MappingProxyType(specs)


def _specs_of(family: str) -> Sequence[JobSpec]:
    try:
        contract = importlib.import_module(f"{family}.contract")
        return tuple(contract.SPECS)
    except (ImportError, AttributeError) as exc:
        raise ConfigurationRefused(f"SWITCHYARD_EXTRA_FAMILIES: {family} has no contract with SPECS: {exc}") from exc
