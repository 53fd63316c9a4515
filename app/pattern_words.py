"""What a text must be that a pattern was not met by, in words: regular expressions are for machines."""

from tasks.core.spec import HOST_CHARS
from tasks.publishing.contract import SITE_NAME

_HOST = (
    "Should be a site: its host, with its port where its address has one, or a name of your own, without blanks, "
    "slashes or letters beyond ASCII; such as docs.example.org, 127.0.0.1:8000 or handbook."
)
_JOB = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_A_JOB = "a job's id, such as 01890000-0000-7000-8000-000000000000"

WORDS = {
    f"^[{HOST_CHARS}]+$": f"{_HOST} Lower case only.",
    f"^[A-Z{HOST_CHARS}]+$": _HOST,
    SITE_NAME: "Should be a name of 1 to 63 small letters, digits and dashes that begins and ends with a letter or a "
    "digit; such as handbook or docs-2.",
    rf"^{_JOB}$": f"Should be {_A_JOB}.",
    r"^(last|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$": f"Should be {_A_JOB}, or the word last.",
}
"""By pattern."""
