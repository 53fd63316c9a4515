"""A site whose pages a test writes."""

from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

from tests.core.egress.loopback import Answer, Loopback

_REDIRECTS = (301, 302, 303, 307, 308)


class _Answers(dict[str, Answer]):
    def __missing__(self, path: str) -> Answer:
        return lambda handler: handler.send_error(404)


class Site(Loopback):
    """Pages by path; ``/30x?to=URL`` redirects there with that status."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = _Answers()
        self.page("/", "<title>home</title>")
        self.serve("/favicon.ico", b"")
        for status in _REDIRECTS:
            self.answers[f"/{status}"] = self._redirect(status)

    def page(self, path: str, html: str) -> str:
        """Answer ``path`` with a page; return its URL."""
        self.serve(path, f"<!doctype html><meta charset=utf-8>{html}".encode(), Content_Type="text/html")
        return self.url(path)

    def script(self, path: str, text: str) -> str:
        """Answer ``path`` with a script; return its URL."""
        self.serve(path, text.encode(), Content_Type="text/javascript")
        return self.url(path)

    @staticmethod
    def _redirect(status: int) -> Answer:
        def answer(handler: BaseHTTPRequestHandler) -> None:
            to = parse_qs(urlsplit(handler.path).query)["to"][0]
            handler.send_response(status)
            handler.send_header("Location", to)
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        return answer
