"""The shapes in which one algorithm's deaths are sent, and how each is read."""

from typing import Annotated, Self

from pydantic import Field, PrivateAttr, model_validator

from tasks.calibration.deaths import MAX_COUNT, Deaths, Labelled, Shares, Totals, from_table
from tasks.calibration.intake import MAX_CAUSES
from tasks.calibration.reading import MAX_ROWS, TableRefused, decode, decode_base64, read_table
from tasks.calibration.terms import Cause, Probability
from tasks.core.spec import Contract, OpenUpload
from tasks.core.uploads import UploadId

_MAX_CSV = 16 * 2**20

Count = Annotated[int, Field(ge=0, le=MAX_COUNT, strict=True)]


class DeathRecord(Contract):
    """One death."""

    id: Annotated[str, Field(min_length=1, max_length=50)] | Annotated[int, Field(ge=0, le=10**15)]
    cause: str = Field(max_length=100, description="As the algorithm printed it; empty where it assigned none.")


class CauseTable(Contract):
    """Deaths by broad cause, one row each: 0 and 1, or probabilities."""

    causes: tuple[Cause, ...] = Field(min_length=2, max_length=MAX_CAUSES)
    rows: tuple[tuple[Probability, ...], ...] = Field(min_length=1, max_length=MAX_ROWS)


class AlgorithmDeaths(Contract):
    """The deaths that one algorithm assigned, in exactly one of these shapes."""

    records: tuple[DeathRecord, ...] | None = Field(None, min_length=1, max_length=MAX_ROWS)
    counts: dict[Cause, Count] | None = Field(None, min_length=1, max_length=500, description="Deaths by cause.")
    matrix: CauseTable | None = None
    csv: str | None = Field(
        None,
        max_length=_MAX_CSV,
        description="A table as text, with columns ID and cause (or cause1), or cause and count, or one column a "
        "cause (with or without ID). Comma, semicolon, tab or bar.",
    )
    csv_base64: str | None = Field(
        None, max_length=_MAX_CSV, description="The same as the bytes of a file: UTF-8, UTF-16 or Windows-1252."
    )
    upload: UploadId | None = Field(None, description="The same as a file that was uploaded before, by its id.")

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            shapes = "records, counts, matrix, csv, csv_base64 and upload"
            raise ValueError(f"needs exactly one of {shapes}; got {len(given)}")
        if self.upload is None:
            try:
                self.read()
            except TableRefused as exc:
                raise ValueError(f"{self.title} {exc}") from exc
        return self

    _read: Deaths | None = PrivateAttr(None)

    @property
    def title(self) -> str:
        """What they are called to whoever sent them, who may have named a file and knows no field."""
        if self.upload is not None:
            return "The upload"
        return "The file" if self.csv_base64 is not None else "The table"

    def read(self, open_upload: OpenUpload | None = None) -> Deaths:
        """Return the deaths, whatever the shape; large tables are worked through once.

        Raises:
            TableRefused: the text is no table of deaths, or it is an upload and there is nothing to open it with.
        """
        if self._read is None:
            self._read = self._deaths(open_upload)
        return self._read

    def _deaths(self, open_upload: OpenUpload | None) -> Deaths:
        if self.records is not None:
            return Labelled(
                tuple(str(record.id).strip() for record in self.records),
                tuple(record.cause for record in self.records),
                tuple(range(1, len(self.records) + 1)),
                "record",
            )
        if self.counts is not None:
            return Totals(self.counts)
        if self.matrix is not None:
            rows = self.matrix.rows
            return Shares(self.matrix.causes, rows, tuple(range(1, len(rows) + 1)), "row")
        return from_table(read_table(self._text(open_upload)))

    def _text(self, open_upload: OpenUpload | None) -> str:
        if self.upload is None:
            return self.csv if self.csv is not None else decode_base64(self.csv_base64 or "")
        if open_upload is None:
            raise TableRefused("has to be opened first")
        with open_upload(self.upload) as file:
            content = file.read(_MAX_CSV + 1)
        if len(content) > _MAX_CSV:
            raise TableRefused(f"has over {_MAX_CSV:,} bytes: send counts instead of single deaths")
        return decode(content)
