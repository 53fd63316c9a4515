"""Regular expressions over addresses, matched in time linear in the address. Light to import."""

from typing import Any

from pydantic_core import SchemaError, SchemaValidator, core_schema


class AddressPattern:
    """A regular expression that may match anywhere in an address.

    pydantic's own engine (Rust's ``regex``) never backtracks and bounds what a pattern may take, so that a stranger's
    pattern costs a known time; look-around and back-references are what it does without.
    """

    def __init__(self, pattern: str) -> None:
        """Read the pattern.

        Raises:
            ValueError: it is none, or too large.
        """
        schema: Any = core_schema.str_schema(pattern=pattern, regex_engine="rust-regex")
        try:
            self._validator = SchemaValidator(schema)
        except SchemaError as exc:
            raise ValueError(f"{pattern!r} is no regular expression that can be used here: {_reason(exc)}") from exc

    def matches(self, url: str) -> bool:
        """Tell whether it matches somewhere in the URL."""
        return self._validator.isinstance_python(url)


def _reason(exc: SchemaError) -> str:
    """Return the last line of what the engine says; those before show the pattern."""
    return str(exc).strip().rpartition("\n")[2].strip().removeprefix("error: ").removeprefix("SchemaError: ")
