"""Why a request is answered with an error of the protocol."""


class Refused(Exception):
    """The parameters of a request make no sense here."""
