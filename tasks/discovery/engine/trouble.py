"""What one page can do to code that reads it, and what must never be taken for that."""

from playwright.async_api import Error as PlaywrightError

from tasks.core.errors import EgressRefused, EngineFailed, InputRejected, TooLarge

# Named one by one, because Celery's soft limit, lost memory and a cancelled job are exceptions too and end the job.
PAGE_TROUBLE: tuple[type[Exception], ...] = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, SyntaxError, TypeError, ValueError),
    *(EgressRefused, EngineFailed, InputRejected, TooLarge),
    PlaywrightError,
)


def told(exc: Exception) -> str:
    """Return what happened in one line."""
    text = str(exc).partition("\n")[0]
    return (
        text
        if isinstance(exc, (EgressRefused, EngineFailed, InputRejected, TooLarge))
        else (f"{type(exc).__name__}: {text}")
    )
