"""Somebody else's service: translations, at once or submitted and polled, behind a key. Flask, on loopback."""

import threading
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue
from werkzeug.serving import make_server

KEY = "k3y/with+söme&marks"


@dataclass
class Translations:
    """The service, and what it was asked. ``polls_needed`` says after how many looks work is done."""

    polls_needed: int = 2
    fails: bool = False
    down: int = 0
    """How many of the next requests about work are answered 503."""
    answers_late: threading.Event = field(default_factory=threading.Event)
    """Submissions are answered once this is set, which it is at first."""
    works: dict[str, dict[str, Any]] = field(default_factory=dict)
    by_key: dict[str, str] = field(default_factory=dict)
    submitted: list[str] = field(default_factory=list)
    """The idempotency keys that came."""
    cancelled: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.answers_late.set()

    def __enter__(self) -> Self:
        self._server = make_server("127.0.0.1", 0, self._app(), threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.answers_late.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def endpoint(self) -> str:
        """Where it listens: ``host:port``."""
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{self.endpoint}"

    def _app(self) -> Flask:
        app = Flask("translations")
        app.before_request(self._turn_away)
        app.add_url_rule("/health", "health", view_func=lambda: jsonify(ok=True))
        app.add_url_rule("/say/<path:word>", view_func=self._say, methods=["POST"])
        app.add_url_rule("/elsewhere", "elsewhere", view_func=lambda: ("", 302, {"Location": "/health"}))
        app.add_url_rule("/large", "large", view_func=lambda: b"x" * 100_000)
        app.add_url_rule("/works", view_func=self._submit, methods=["POST"])
        app.add_url_rule("/works/<name>", view_func=self._status)
        app.add_url_rule("/works/<name>/text", view_func=self._text)
        app.add_url_rule("/works/<name>", view_func=self._cancel, methods=["DELETE"])
        return app

    def _turn_away(self) -> ResponseReturnValue | None:
        if request.args.get("key") != KEY:
            return jsonify(error="no such key", sent=request.args.get("key")), 401
        if self.down and request.path.startswith("/works/"):
            self.down -= 1
            return f"down, says {KEY}", 503
        return None

    def _say(self, word: str) -> ResponseReturnValue:
        return jsonify(word=word, body=request.json, headers=dict(request.headers), key=request.args["key"])

    def _submit(self) -> ResponseReturnValue:
        key = request.headers["Idempotency-Key"]
        self.submitted.append(key)
        name = self.by_key.setdefault(key, f"w {len(self.by_key) + 1}")
        self.works.setdefault(name, {"text": request.json["text"], "looks": 0})
        self.answers_late.wait(20)
        return jsonify(work={"id": name, "href": f"/works/{name}"}), 202

    def _status(self, name: str) -> ResponseReturnValue:
        work = self.works.get(name)
        if work is None:
            return jsonify(error="no such work"), 404
        work["looks"] += 1
        done = work["looks"] >= self.polls_needed
        state = ("failed" if self.fails else "Completed") if done else "running"
        return jsonify(status=state, share=work["looks"] / self.polls_needed, note=f"{name} for {KEY}")

    def _text(self, name: str) -> ResponseReturnValue:
        return f"{self.works[name]['text']} translated for {KEY}", 200, {"Content-Type": "text/plain; charset=utf-8"}

    def _cancel(self, name: str) -> ResponseReturnValue:
        self.cancelled.append(name)
        return "", 204


SAY: dict[str, Any] = {
    "base_url": "",
    "request": {
        "method": "POST",
        "path": "/say/{{input.word}}",
        "query": {"key": "{{secret.key}}"},
        "headers": {"X-Job": "{{job.id}}"},
        "body": {"words": "{{input.words}}", "text": "{{input.word}}, {{input.count}} times"},
    },
    "health": {"path": "/health", "query": {"key": "{{secret.key}}"}},
    "timeout_s": 10,
}
_KEYED = {"query": {"key": "{{secret.key}}"}}
TRANSLATE: dict[str, Any] = {
    "base_url": "",
    "request": {"method": "POST", "path": "/works", "body": {"text": "{{input.text}}"}, **_KEYED},
    "poll": {
        "remote": {"id": "/work/id", "href": "/work/href"},
        "status": {"path": "{{remote.href}}", **_KEYED},
        "result": {"path": "/works/{{remote.id}}/text", **_KEYED},
        "cancel": {"method": "DELETE", "path": "/works/{{remote.id}}", **_KEYED},
        "progress": "/share",
        "progress_of": 1,
        "message": "/note",
        "interval_s": 0.1,
    },
    "timeout_s": 10,
}
