"""How a site is made of its source: what a generator is called with. Light: the web process loads this.

Another generator is one more entry, whose capability `workers.preflight` has to know.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated

from pydantic import AfterValidator, Field


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way.

    Args:
        summary: for readers.
        command: run in the source's folder, without a network; `{config}` and `{out}` in it stand for the file found
            and for the folder that the site goes into, and `python` as its first word for the worker's own. Empty:
            nothing is run, the files are the site.
        config: names, one of which the source must have.
        capability: what a worker must have found at its start.
    """

    summary: str
    command: tuple[str, ...] = ()
    config: tuple[str, ...] = ()
    capability: str | None = None


COPY = "copy"
RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        COPY: Recipe("The files are the site."),
        "mkdocs": Recipe(
            "MkDocs makes it, as its `mkdocs.yml` says.",
            command=(
                *("python", "-P", "-m", "mkdocs", "build"),
                *("--config-file", "{config}", "--site-dir", "{out}"),
            ),
            config=("mkdocs.yml", "mkdocs.yaml"),
            capability="mkdocs",
        ),
    }
)


def _known(name: str) -> str:
    if name not in RECIPES:
        raise ValueError(f"recipe {name!r} is not known: give one of {', '.join(RECIPES)}")
    return name


RecipeName = Annotated[
    str,
    Field(
        max_length=50,
        description="How the site is made of the source. "
        + " ".join(f"`{name}`: {recipe.summary}" for name, recipe in RECIPES.items()),
        json_schema_extra={"enum": list(RECIPES)},
    ),
    AfterValidator(_known),
]
