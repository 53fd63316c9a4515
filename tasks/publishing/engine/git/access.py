"""What an operator has stored for a git server: a sign-in, and the authority that vouches for it.

The sign-in is neither an argument nor a variable nor a file on a disk: it lies in memory that only git and what it
starts have open, and git asks for it only for the server that it is for, not where that redirects to.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Access:
    """For one repository.

    Args:
        user, password: both, or neither.
        ca_file: certificates of the authorities that prove its server, in place of those that everybody trusts.
    """

    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None


NO_ACCESS = Access()


@dataclass(frozen=True, slots=True)
class SignIn:
    """A sign-in that git can ask for.

    Args:
        handle: an open file, to be handed on to git.
        settings: of git.
    """

    handle: int
    settings: Mapping[str, str]


@contextmanager
def signed_in(url: str, access: Access) -> Iterator[SignIn | None]:
    """Hold the sign-in ready for git while it fetches this repository; None: there is none."""
    if access.user is None or access.password is None:
        yield None
        return
    handle = os.memfd_create("sign-in")
    try:
        os.write(handle, f"username={access.user}\npassword={access.password}\n".encode())
        server = urlsplit(url)
        # Opened anew by each who reads it, so that each reads it from its beginning.
        helper = f'!f() {{ test "$1" = get && cat /proc/self/fd/{handle}; }}; f'
        yield SignIn(handle, {f"credential.https://{server.netloc}.helper": helper})
    finally:
        os.close(handle)
