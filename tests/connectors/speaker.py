"""Somebody else's service over a WebSocket: it says texts, in frames. Flask and simple-websocket, on loopback."""

import json
import threading
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from flask import Flask, redirect, request
from flask.typing import ResponseReturnValue
from simple_websocket import ConnectionClosed, Server
from werkzeug.serving import make_server

from tests.connectors.translations import KEY


@dataclass
class Speaker:
    """The service, and what it was told. Each flag says how it misbehaves."""

    ends: str = "done"
    """How its last frame says that the work stands."""
    hangs_up_after: int | None = None
    """After so many frames of progress it closes the socket, with ``code``."""
    code: int = 1011
    waits: bool = False
    """It sends nothing after it has said what it calls the work."""
    steps: int = 3
    extra: list[str | bytes] = field(default_factory=list)
    """Frames that it sends before those of progress."""
    answers: int = 101
    told: list[dict[str, Any]] = field(default_factory=list)
    """Every frame that came."""
    begun: dict[str, str] = field(default_factory=dict)
    """Names of works by the key that they were asked for with."""

    def __enter__(self) -> Self:
        app = Flask("speaker")
        app.add_url_rule("/speak/<voice>", view_func=self._speak, websocket=True)
        app.add_url_rule("/elsewhere", "elsewhere", view_func=lambda: redirect("/speak/a"), websocket=True)
        self._server = make_server("127.0.0.1", 0, app, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def endpoint(self) -> str:
        """Where it listens: ``host:port``."""
        return f"127.0.0.1:{self._server.server_port}"

    def _speak(self, voice: str) -> ResponseReturnValue:
        if self.answers != 101:
            return f"no, says {KEY}", self.answers
        if request.headers.get("X-Lang") != "pt" or request.args.get("key") != KEY:
            return "no such key", 403
        socket = Server(request.environ)
        try:
            while True:
                self._answer(socket, json.loads(socket.receive()), voice)
        except ConnectionClosed:
            return ""

    def _answer(self, socket: Server, frame: dict[str, Any], voice: str) -> None:
        self.told.append(frame)
        match frame["do"]:
            case "ping":
                socket.send("not JSON")
                socket.send(json.dumps({"type": "pong", "key": KEY}))
            case "begin":
                name = self.begun.setdefault(frame["key"], f"w{len(self.begun) + 1}")
                self._tell(socket, frame, name, voice)
            case "attach":
                self._tell(socket, frame, frame["work"], voice)

    def _tell(self, socket: Server, frame: dict[str, Any], name: str, voice: str) -> None:
        def say(kind: str, **values: Any) -> None:
            socket.send(json.dumps({"type": kind, "key": frame["key"], "work": name, **values}))

        say("accepted")
        socket.send(json.dumps({"type": "done", "key": "somebody else's"}))
        for extra in self.extra:
            socket.send(extra)
        for step in range(0 if self.waits else self.steps):
            if step == self.hangs_up_after:
                socket.close(self.code, f"sorry, says {KEY}")
                raise ConnectionClosed
            say("step", share=step / self.steps, note=f"step {step} for {KEY}", text=f"{step};")
        if not self.waits:
            say(self.ends, note=f"that was it, {KEY}", voice=voice, said=frame.get("text", ""), to=KEY)


SPEAK: dict[str, Any] = {
    "type": "websocket",
    "base_url": "",
    "path": "/speak/{{input.voice}}",
    "query": {"key": "{{secret.key}}"},
    "headers": {"X-Lang": "pt"},
    "request": {"do": "begin", "key": "{{job.key}}", "text": "{{input.text}}", "loud": "{{input.loud}}"},
    "remote": {"id": "/work"},
    "resume": {"do": "attach", "key": "{{job.key}}", "work": "{{remote.id}}"},
    "cancel": {"do": "cancel", "work": "{{remote.id}}"},
    "match": {"/key": "{{job.key}}"},
    "health": {"send": {"do": "ping"}, "expect": {"/type": "pong"}},
    "progress": "/share",
    "progress_of": 1,
    "message": "/note",
    "timeout_s": 10,
    "silence_s": 10,
}
