"""Files that are no tables of deaths, as people send them (all invented): each is refused in its own words, which say
where, what, and what to do about it."""

import base64
import re
from typing import Any

import pytest
from pydantic import ValidationError

from tasks.calibration.contract import CalibrationRequest

MATRIX = {"causes": ["ipre", "pneumonia", "other"], "rows": [[20, 3, 2], [4, 18, 3], [2, 3, 9]]}
BROAD = "ID,ipre,pneumonia,other\n"

MALFORMED: dict[str, tuple[str | bytes, list[str]]] = {
    "nothing": ("", ["is empty", "first line names the columns", "ID,cause"]),
    "a header alone": ("ID,cause\n", ["a header and no rows"]),
    "one column": ("cause\nipre\n", ["one column, 'cause'", "comma, a semicolon, a tab or a bar"]),
    "other columns": ("ID,reason\n1,ipre\n", ["columns ID and cause", "'ipre' in column 'reason' on line 2"]),
    "a column twice": ("ID,cause,Cause\n1,ipre,ipre\n", ["column 'cause' twice"]),
    "a column without a name": ("ID,cause,\n1,ipre,x\n", ["no name for column 3"]),
    "a column too many": ("ID,cause,age\n1,ipre,3\n", ["mean nothing here: 'age'"]),
    "causes without IDs": ("cause,age\nipre,3\n", ["a column ID beside it, or a column count"]),
    "an uneven line": ("ID,cause\n1,ipre\n2,pneumonia,x\n", ["2 columns, but not on line 3"]),
    "an open quote": ('ID,cause\n1,ipre\n2,"pneumonia\n3,ipre\n', ["line 3", "quote may not be closed"]),
    "a misspelt cause": (
        "ID,cause\n1,ipre\n2,Pnuemonia\n3,Pnuemonia\n",
        ["'Pnuemonia' on lines 3 and 4", "did you mean 'pneumonia'?", "cause_map"],
    ),
    "a cause of no table": ("ID,cause\n1,ipre\n2,Qx\n", ["Unknown cause 'Qx' on line 3: add it to cause_map"]),
    "an ID twice": ("ID,cause\n7,ipre\n8,ipre\n7,pneumonia\n", ["ID '7' comes on lines 2 and 4", "counts once"]),
    "no ID": ("ID,cause\n1,ipre\n,pneumonia\n", ["No ID on line 3"]),
    "no cause at all": ("ID,cause\n1,Unspecified\n2,\n", ["no death with a cause", "unspecified"]),
    "a negative count": ("cause,count\nipre,-4\npneumonia,3\n", ["count of 'ipre' is -4", "0 to 10,000,000"]),
    "part of a death": ("cause,count\nipre,3\npneumonia,2.5\n", ["line 3", "'2.5' for 'pneumonia'", "whole numbers"]),
    "a count in words": ("cause,count\nipre,many\n", ["line 2", "'many' for 'ipre'", "count each death once"]),
    "a cause twice": ("cause,count\nipre,4\npneumonia,3\nIPRE,2\n", ["'ipre' on lines 2 and 4", "add the counts up"]),
    "no deaths": ("cause,count\nipre,0\npneumonia,0\n", ["All counts are 0", "nothing to calibrate"]),
    "more than certain": (BROAD + "1,1.4,0,0\n", ["1.4 for 'ipre' in line 2", "outside of 0 to 1", "probabilities"]),
    "less than certain": (BROAD + "1,1,0,0\n2,0.2,0.2,0\n", ["line 3 do not sum to 1", "0.4", "probabilities"]),
    "a draw": (BROAD + "1,0.5,0.5,0\n", ["line 2", "'ipre' and 'pneumonia' have 0.5 each", "leave the death out"]),
    "decimal commas": ("ID;ipre;pneumonia;other\n1;0,5;0,3;0,2\n", ["'0,5' in column 'ipre' on line 2", "point (0.5)"]),
    "a strange column": ("ID,ipre,pneumonia,typhoid\n1,1,0,0\n", ["'typhoid'", "cause_map"]),
    "a spreadsheet": (b"PK\x03\x04\x14\x00\x00\x00", ["zero byte", "send a CSV file, not a spreadsheet"]),
    "half a character": (b"\xff\xfeI\x00D\x00,", ["begins like UTF-16", "byte 6"]),
    "no text": (b"ID,cause\n1,\x81ipre\n", ["neither UTF-8 nor Windows-1252", "byte 11"]),
    "a novel in a cell": ("ID,cause\n1," + "x" * 600 + "\n", ["over 500 characters on line 2"]),
}


def refusal(content: str | bytes) -> str:
    """Return what is said of the file, with the field that it concerns."""
    sent = {"csv": content}
    if isinstance(content, bytes):
        sent = {"csv_base64": base64.b64encode(content).decode()}
    request: dict[str, Any] = {"va_data": {"eava": sent}, "missmat": {"eava": MATRIX}, "age_group": "neonate"}
    with pytest.raises(ValidationError) as refused:
        CalibrationRequest.model_validate(request)
    (error,) = refused.value.errors()
    return ".".join(map(str, error["loc"])) + " " + str(error["msg"])


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_file_is_refused_in_its_own_words(name: str) -> None:
    """With the algorithm it came for, the line or column, the value and the remedy."""
    content, words = MALFORMED[name]
    told = refusal(content)
    assert told.startswith("va_data.eava ")
    assert [] == [word for word in words if word not in told], told


def test_no_two_malformed_files_are_told_the_same() -> None:
    """A message that fits two mistakes explains neither."""
    told = {re.sub(r"\d+", "#", refusal(content)) for content, _ in MALFORMED.values()}
    assert len(MALFORMED) == len(told)
    assert 20 <= len(told)
