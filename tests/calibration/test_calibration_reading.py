"""Tables as people send them: read whatever their spelling, or refused with a message of their own."""

import base64

import pytest

from tasks.calibration.deaths import Labelled, Shares, Totals, from_table
from tasks.calibration.reading import TableRefused, decode, decode_base64, read_table

GOOD = "ID,cause\n1,Malaria\n2,Pneumonia\n"


@pytest.mark.parametrize(
    "content",
    [
        GOOD.encode(),
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.encode("utf-16"),
        GOOD.replace(",", ";").encode(),
        GOOD.replace(",", "\t").encode(),
        GOOD.replace(",", "|").encode(),
        GOOD.replace("\n", "\r\n").encode(),
        b'"ID","cause"\n"1","Malaria"\n\n , \n"2" , "Pneumonia"\n\n'.replace(b'" , "', b'","'),
        GOOD.upper().replace("MALARIA", " Malaria ").encode(),
        GOOD.replace("cause", "cause1").encode(),
        b"cause,id\nMalaria,1\nPneumonia,2",
    ],
    ids=["utf-8", "bom", "utf-16", "semicolon", "tab", "bar", "crlf", "blank lines", "upper", "cause1", "order"],
)
def test_a_table_is_read_whatever_its_spelling(content: bytes) -> None:
    """Encoding, separator, line ends, quotes, blank lines and the order of columns do not matter."""
    deaths = from_table(read_table(decode(content)))
    assert isinstance(deaths, Labelled)
    assert ("1", "2") == deaths.ids
    assert ("malaria", "pneumonia") == tuple(label.lower() for label in deaths.labels)


def test_windows_1252_is_understood() -> None:
    """Accents of an older spreadsheet survive."""
    assert "décès" == decode("décès".encode("cp1252"))


def test_lines_are_numbered_as_an_editor_does() -> None:
    """Blank lines and quoted line ends count."""
    table = read_table('ID,cause\n\n1,"a\nb"\n2,c\n')
    assert (3, 5) == tuple(line for line, _ in table.rows)


def test_counts_and_shares_are_told_by_their_header() -> None:
    """The two other shapes."""
    assert Totals({"Malaria": 3, "Pneumonia": 4}) == from_table(read_table("cause,count\nMalaria,3\nPneumonia,4.0\n"))
    shares = from_table(read_table("ID,malaria,pneumonia\nx,0,1\ny,0.7,0.3\n"))
    assert isinstance(shares, Shares)
    assert (("malaria", "pneumonia"), ((0.0, 1.0), (0.7, 0.3))) == (shares.labels, shares.rows)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\n\n , \n", "is empty"),
        ("ID,cause\n", "no rows"),
        ("PK\x03\x04\0\0", "zero byte"),
        ("ID\n1\n2\n", "one column"),
        ("ID,cause,cause\n1,a,b\n", "names the column 'cause' twice"),
        ("ID,,cause\n1,x,a\n", "no name for column 2"),
        ("ID,cause\n1,a\n2\n3,a,b\n", "not on lines 3 and 4"),
        ('ID,cause\n1,"a\n2,b\n', "breaks off"),
        ("ID,cause\n1," + "x" * 501 + "\n", "over 500 characters on line 2"),
        ("ID,cause,lik1\n1,a,0.9\n", "mean nothing here: 'lik1'"),
        ("number,cause\n1,a\n", "needs a column ID"),
        ("cause,count\na,1\nb,many\n", "no whole numbers on line 3"),
        ("cause,count\na,1\nb,2.5\n", "no whole numbers on line 3"),
        ("cause,count\na,1\nA ,2\n", "the cause 'a' on lines 2 and 3"),
        ("ID,a,b\n1,0,1\n2,x,1\n", "'x' in column 'a' on line 3 is no number"),
    ],
)
def test_a_bad_table_is_refused_with_its_own_message(text: str, message: str) -> None:
    """The message says what is wrong, and where."""
    with pytest.raises(TableRefused, match=message):
        from_table(read_table(text))


@pytest.mark.parametrize(
    ("encoded", "message"),
    [
        ("%%%", "not base64"),
        (base64.b64encode(b"\xff\xfeI\0D").decode() + "!", "not base64"),
        (base64.b64encode(b"\xff\xfeI\0\xd8").decode(), "begins like UTF-16"),
        (base64.b64encode(b"ID,cause\n1,\x81\x8d\n").decode(), "neither UTF-8 nor Windows-1252"),
    ],
)
def test_bad_bytes_are_refused(encoded: str, message: str) -> None:
    """So that no letter is guessed."""
    with pytest.raises(TableRefused, match=message):
        decode_base64(encoded)


def test_too_many_rows_are_refused() -> None:
    """The cap holds before anything is counted."""
    with pytest.raises(TableRefused, match="over 200,000 rows"):
        read_table("ID,cause\n" + "1,a\n" * 200_001)
