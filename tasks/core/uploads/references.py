"""How a request names an upload: ``{"upload": id}``. Light to import: contracts and engines load this."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, get_args

from pydantic import BaseModel, Field
from pydantic.fields import FieldInfo

from tasks.core.spec import Contract


class _Mark:
    """Tells a field that holds an upload's id from any other text."""


UploadId = Annotated[
    str,
    Field(
        pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
        description="An upload's id, as `POST /api/uploads` answers it.",
    ),
    _Mark(),
]


class UploadRef(Contract):
    """A file that was sent before: ``{"upload": id}``."""

    upload: UploadId


@dataclass(frozen=True, slots=True)
class Reference:
    """Where a request names which upload."""

    path: tuple[str, ...]
    upload_id: str


def holds_uploads(model: type[BaseModel]) -> bool:
    """Tell whether a request of this type can name an upload."""
    return bool(_places(model))


def references(request: BaseModel) -> list[Reference]:
    """List the uploads that ``request`` names, in the order of its fields."""
    return list(_found(request, ()))


def _found(value: object, path: tuple[str, ...]) -> Iterator[Reference]:
    if isinstance(value, BaseModel):
        for name, is_id in _places(type(value)).items():
            inner = getattr(value, name)
            if not is_id:
                yield from _found(inner, (*path, name))
            elif isinstance(inner, str):
                yield Reference((*path, name), inner)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _found(inner, (*path, str(key)))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, inner in enumerate(value):
            yield from _found(inner, (*path, str(index)))


@cache
def _places(model: type[BaseModel]) -> Mapping[str, bool]:
    """Return the fields under which ids of uploads are found, and whether the field itself holds one."""
    places: dict[str, bool] = {}
    for name, field in model.model_fields.items():
        if _is_id(field):
            places[name] = True
        elif any(_is_id(inner) for one in _reached(field.annotation) for inner in one.model_fields.values()):
            places[name] = False
    return places


def _is_id(field: FieldInfo) -> bool:
    return any(isinstance(one, _Mark) for one in (*field.metadata, *_arguments(field.annotation)))


def _reached(annotation: object) -> set[type[BaseModel]]:
    """Return the models that a field of this type can lead to."""
    reached: set[type[BaseModel]] = set()
    waiting = [annotation]
    while waiting:
        for part in _arguments(waiting.pop()):
            if isinstance(part, type) and issubclass(part, BaseModel) and part not in reached:
                reached.add(part)
                waiting += [field.annotation for field in part.model_fields.values()]
    return reached


def _arguments(annotation: object) -> Iterator[object]:
    """Iterate over a type and over what it is made of."""
    yield annotation
    for argument in get_args(annotation):
        yield from _arguments(argument)
