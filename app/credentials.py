"""Which views take other credentials than an API key."""

from collections.abc import Callable
from typing import TypeVar

ViewT = TypeVar("ViewT", bound=Callable[..., object])
_MARK = "signs_in_itself"


def signs_in_itself(view: ViewT) -> ViewT:
    """Mark a view that takes other credentials than a key, such as a stream token, and must check them itself."""
    setattr(view, _MARK, True)
    return view


def brings_its_own(view: object) -> bool:
    """Tell whether the view is so marked."""
    return bool(getattr(view, _MARK, False))
