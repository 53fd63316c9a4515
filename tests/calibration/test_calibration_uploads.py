"""Deaths that were uploaded: read where they lie, in the web process as in the worker."""

from io import BytesIO
from typing import Any, BinaryIO

import pytest
from pydantic import ValidationError

from tasks.calibration import shapes
from tasks.calibration.contract import CalibrationRequest
from tasks.calibration.preview import preview
from tasks.core.ids import new_id

CSV = "ID;cause\n1;malaria\n2;pneumonia\n3;malaria\n"
MATRIX = {"causes": ["malaria", "pneumonia"], "rows": [[30, 6], [4, 25]]}
UPLOAD = new_id()


def request(**changes: Any) -> CalibrationRequest:
    return CalibrationRequest.model_validate(
        {"va_data": {"a": {"upload": UPLOAD}}, "missmat": {"a": MATRIX}, **changes}
    )


def opening(content: bytes) -> Any:
    def open_upload(upload_id: str) -> BinaryIO:
        assert UPLOAD == upload_id
        return BytesIO(content)

    return open_upload


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_upload_counts_as_the_same_text_would(encoding: str) -> None:
    """Whatever its encoding."""
    inline = CalibrationRequest.model_validate({"va_data": {"a": {"csv": CSV}}, "missmat": {"a": MATRIX}})
    open_upload = opening(CSV.encode(encoding))
    request().check_uploads(open_upload)
    assert inline.take_in() == request().take_in(open_upload)
    assert preview(inline) == preview(request(), open_upload)


def test_request_is_valid_before_its_upload_is_read() -> None:
    """A worker builds it anew from the ledger; the knobs are checked all the same."""
    assert UPLOAD == request().va_data["a"].upload
    with pytest.raises(ValidationError, match="draws x chains"):
        request(draws=20_000, chains=8)
    with pytest.raises(ValidationError, match="needs exactly one of"):
        request(va_data={"a": {"upload": UPLOAD, "csv": CSV}})


def test_all_that_is_wrong_with_uploads_is_told_at_once() -> None:
    """By algorithm, with line numbers and nearest names."""
    both = {"va_data": {"a": {"upload": UPLOAD}, "b": {"upload": UPLOAD}}, "missmat": {"a": MATRIX, "b": MATRIX}}
    with pytest.raises(ValidationError) as refused:
        request(**both).check_uploads(opening(b"ID,cause\n1,malaria\n2,malarja\n"))
    assert [(("va_data", "a"), 3), (("va_data", "b"), 3)] == [
        (error["loc"], int("line 3" in error["msg"] and "malaria" in error["msg"]) * 3)
        for error in refused.value.errors()
    ]
    with pytest.raises(ValidationError) as refused:
        request(**both).check_uploads(opening(b"\0"))
    assert ["The upload holds a zero byte"] * 2 == [error["msg"].partition(":")[0] for error in refused.value.errors()]


def test_upload_that_is_no_table_of_deaths_by_its_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it is read into memory as a table."""
    monkeypatch.setattr(shapes, "_MAX_CSV", 20)
    with pytest.raises(ValidationError, match="has over 20 bytes: send counts"):
        request().check_uploads(opening(CSV.encode()))
