"""The options that choose jobs, the same for a list and for what is done to many."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from client.calls import JobFilters
from client.command import params

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--state", multiple=True, help="May be repeated."),
    click.option("--kind"),
    click.option("--queue"),
    click.option("--site"),
    click.option("--reference"),
    click.option("--label", "labels", multiple=True, metavar="K=V", help="May be repeated."),
    click.option("--text", help="Words to look for."),
    click.option("--from", "created_from", metavar="TIME", help="Created at or after (RFC 3339)."),
    click.option("--to", "created_to", metavar="TIME", help="Created before."),
    click.option("--dead", is_flag=True, default=None, help="Only jobs whose attempts were used up."),
)


def filter_options(function: F) -> F:
    """Add the options; their values are for ``chosen``."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def chosen(values: Mapping[str, object]) -> JobFilters:
    """Return the filters that were given.

    Raises:
        click.BadParameter: a label is not ``key=value``.
    """
    given = {name: value for name, value in values.items() if value}
    labels = given.get("labels")
    if isinstance(labels, tuple):
        given["labels"] = params.labels(labels)
    return given  # type: ignore[return-value]  # click's names are the keys of JobFilters
