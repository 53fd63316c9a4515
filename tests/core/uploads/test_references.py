"""References: found wherever a model may hold them, with their paths."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ValidationError

from tasks.calibration.contract import CalibrationRequest
from tasks.core.ids import new_id
from tasks.core.spec import Contract
from tasks.core.uploads import UploadId, UploadRef
from tasks.core.uploads.references import Reference, holds_uploads, references
from tasks.maintenance.contract import PingRequest


class Algorithm(Contract):
    upload: UploadId | None = None
    note: str = ""


class Node(Contract):
    file: UploadRef | None = None
    inner: tuple[Node, ...] = ()


class Request(Contract):
    direct: UploadId | None = None
    file: UploadRef | str = "none"
    by_name: dict[str, Algorithm] | None = None
    listed: list[UploadRef] | None = None
    tree: Node | None = None
    plain: str = ""


def test_ids_are_found_with_their_paths() -> None:
    """In fields, unions, mappings, lists and models that hold themselves."""
    ids = [new_id() for _ in range(7)]
    request = Request.model_validate(
        {
            "direct": ids[0],
            "file": {"upload": ids[1]},
            "by_name": {"a": {"upload": ids[2]}, "b": {"note": new_id()}},
            "listed": [{"upload": ids[3]}, {"upload": ids[4]}],
            "tree": {"file": {"upload": ids[5]}, "inner": [{"inner": [{"file": {"upload": ids[6]}}]}]},
            "plain": new_id(),
        }
    )
    assert [
        Reference(tuple(path.split(".")), ids[n])
        for n, path in enumerate(
            (
                *("direct", "file.upload", "by_name.a.upload", "listed.0.upload", "listed.1.upload"),
                *("tree.file.upload", "tree.inner.0.inner.0.file.upload"),
            )
        )
    ] == references(request)


@pytest.mark.parametrize(
    ("model", "holds"), [(Request, True), (Node, True), (CalibrationRequest, True), (PingRequest, False)]
)
def test_kinds_that_take_files_are_known(model: type[BaseModel], holds: bool) -> None:
    """By the types of their fields alone."""
    assert holds_uploads(model) is holds


def test_request_without_uploads_names_none() -> None:
    """Whatever else it holds."""
    assert [] == references(PingRequest(message=new_id()))


_SOME_ID = "01a202f1-4478-76d4-ac45-2c51ba0197d1"


@pytest.mark.parametrize("sent", ["", "x", "../../etc/passwd", _SOME_ID.upper(), _SOME_ID + "\n"])
def test_an_id_is_a_uuid(sent: str) -> None:
    """So that it can be part of a path."""
    with pytest.raises(ValidationError):
        UploadRef(upload=sent)
