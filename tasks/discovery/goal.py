"""What a caller wants of a site, in words that are safe to show, to keep and to hand on."""

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field

MAX_GOAL_CHARS = 500
# What is sent may be longer, because cleaning shortens it.
_MAX_SENT_CHARS = 5000

_UNSAFE = re.compile(
    r"<\s*script\b[^>]*>.*?<\s*/\s*script[^>]*>|<\s*/?\s*script\b[^>]*>?|javascript\s*:|\bon[a-z]{2,}\s*=",
    re.IGNORECASE | re.DOTALL,
)
_SPACES = re.compile(r"\s+")


def clean_goal(goal: str) -> str:
    """Return ``goal`` without control characters, script elements, ``javascript:`` and ``on…=``, of 500 characters.

    What taking something out puts together is taken out as well.
    """
    text = "".join(_plain(char) for char in goal)
    while (shorter := _UNSAFE.sub("", text)) != text:
        text = shorter
    return _SPACES.sub(" ", text).strip()[:MAX_GOAL_CHARS].rstrip()


def _plain(char: str) -> str:
    if char.isspace():
        return " "
    return "" if unicodedata.category(char) in {"Cc", "Cf", "Cs"} else char


Goal = Annotated[str, Field(max_length=_MAX_SENT_CHARS), AfterValidator(clean_goal)]
