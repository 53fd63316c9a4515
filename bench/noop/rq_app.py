"""What an RQ worker calls."""


def ping(message: str) -> dict[str, str]:
    """Return the message."""
    return {"message": message}
