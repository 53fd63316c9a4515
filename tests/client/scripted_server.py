"""A small real HTTP server that keeps docs/api.md's contract, for jobs whose every event a test writes.

Knobs make it misbehave the way networks do: dropped streams, buffering proxies, refused WebSockets, 503s, lost answers.
"""

import contextlib
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Self

import simple_websocket
from flask import Flask, Response, request
from werkzeug.serving import WSGIRequestHandler, make_server

KEY = "test-key"
EPOCH = 1_790_000_000_000
TERMINAL = {"succeeded", "failed", "cancelled"}


class ScriptedJob:
    """One job: its record follows from the events that the test appends."""

    def __init__(self, job_id: str, kind: str, params: dict[str, Any]) -> None:
        self.changed = threading.Condition()
        self.events: list[dict[str, Any]] = []
        self.record: dict[str, Any] = {
            "id": job_id,
            "kind": kind,
            "queue": "crawler",
            "state": "queued",
            "version": 1,
            "cause": "accepted",
            "attempt": 0,
            "max_attempts": 3,
            "timings": {"queued_s": 0.1, "total_s": 0.2},
            "request": params,
            "artifacts": [],
            "result": None,
            "error": None,
        }
        self.edits = 0

    def append(self, type_: str, /, **data: Any) -> Self:
        """Append one event; states and progress change the record too."""
        with self.changed:
            if type_ == "state":
                more = {name: data[name] for name in ("error",) if name in data}
                self.record |= {"state": data["state"], "version": self.record["version"] + 1, **more}
                self.record["cause"] = data.setdefault("cause", "completed")
                self.record["attempt"] = max(1, self.record["attempt"])
            elif type_ == "progress":
                self.record["progress"] = data
            elif type_ == "artifact":
                self.record["artifacts"] = [*self.record["artifacts"], data]
            seq = len(self.events) + 1
            self.events.append(
                {
                    "id": f"{EPOCH}-{seq}",
                    "seq": seq,
                    "at": "2026-01-02T03:04:05Z",
                    "type": type_,
                    "job_id": self.record["id"],
                    "attempt": self.record["attempt"],
                    "data": data,
                }
            )
            self.edits += 1
            self.changed.notify_all()
        return self

    def run(self, steps: int = 3) -> Self:
        """Append a claim and some reports."""
        self.append("state", state="running", cause="claimed")
        for step in range(1, steps + 1):
            self.append(
                "progress", percent=100 * step / steps, stage="pages", step=step, total=steps, message=f"page {step}"
            )
        return self

    def succeed(self, **result: Any) -> Self:
        """End with a result."""
        self.record["result"] = result
        return self.append("state", state="succeeded", cause="completed")

    def fail(self, code: str = "permanent", message: str = "it broke") -> Self:
        """End with an error."""
        return self.append("state", state="failed", cause=code, error={"code": code, "message": message})

    @property
    def is_terminal(self) -> bool:
        return self.record["state"] in TERMINAL

    @property
    def etag(self) -> str:
        return f'"{self.edits}"'

    def wait(self, ready: Callable[[], bool], seconds: float) -> None:
        with self.changed:
            self.changed.wait_for(ready, seconds)

    def stream(self, cursor: str | None, *, heartbeat_s: float) -> Iterator[dict[str, Any] | None]:
        """Yield the events a client is owed after its cursor; None for a heartbeat."""
        seen = len(self.events) if cursor is None else int(cursor.rpartition("-")[2])
        if cursor is None:
            last = self.events[-1] if self.is_terminal else None
            snapshot = {"id": f"{EPOCH}-{seen}", "seq": seen, "type": "snapshot", "job_id": self.record["id"]}
            yield snapshot | {"data": {"reason": "start", "record": self.record}}
            if last:
                yield last
                return
        while True:
            self.wait(lambda known=seen: len(self.events) > known, heartbeat_s)
            if len(self.events) <= seen:
                yield None
            for event in self.events[seen:]:
                seen += 1
                yield event
                if event["type"] == "state" and event["data"]["state"] in TERMINAL:
                    return


class ScriptedServer:
    """The server, its jobs, its faults, and what it saw."""

    def __init__(self) -> None:
        self.jobs: dict[str, ScriptedJob] = {}
        self.keys: dict[str, tuple[bytes, str]] = {}
        self.logs: dict[str, list[dict[str, Any]]] = {}
        self.files: dict[tuple[str, str], bytes] = {}
        self.seen: list[tuple[str, str]] = []
        self.submits: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.open_requests: Counter[str] = Counter()
        self.faults: list[Response | str] = []
        """Next answers to any call: a response, or ``lost`` (served, but the answer never arrives), or ``dropped``."""
        self.on_submit: Callable[[ScriptedJob], object] = lambda job: job
        self.drop_stream_every: int | None = None
        self.drop_file_at: int | None = None
        self.sse = "normal"
        self.websocket = "normal"
        self.heartbeat_s = 0.2
        self._server = make_server("127.0.0.1", 0, self._app(), threaded=True, request_handler=_Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="scripted-server", daemon=True
        )
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def job(self, job_id: str = "job-1", kind: str = "crawling.site", **params: Any) -> ScriptedJob:
        """Add a job."""
        return self.jobs.setdefault(job_id, ScriptedJob(job_id, kind, params))

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def count(self, method: str, path: str) -> int:
        """Return how many calls came to a path."""
        return self.seen.count((method, path))

    def is_idle(self, within_s: float = 3) -> bool:
        """Whether no request stays open."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            if not +self.open_requests:
                return True
            time.sleep(0.02)
        return False

    def _app(self) -> Flask:
        app = Flask(__name__)
        app.before_request(self._before)
        app.errorhandler(KeyError)(lambda _: problem(404, "not_found", detail="no such thing"))
        rule = app.add_url_rule
        rule("/api/jobs/<kind>", view_func=self._submit, methods=["POST"])
        for act in ("retry", "cancel"):
            rule(f"/api/jobs/{act}", view_func=self._change, methods=["POST"], defaults={"act": act}, endpoint=act)
        rule("/api/jobs", view_func=self._change, methods=["DELETE"], endpoint="erase")
        rule("/api/jobs/<job_id>/retry", view_func=self._retry, methods=["POST"])
        rule("/api/jobs", view_func=self._list)
        rule("/api/jobs/<job_id>", view_func=self._record)
        rule("/api/jobs/<job_id>", view_func=self._delete, methods=["DELETE"])
        rule("/api/jobs/<job_id>/cancel", view_func=self._cancel, methods=["POST"])
        rule("/api/jobs/<job_id>/events", view_func=self._events)
        rule("/ws/jobs/<job_id>", view_func=self._socket, websocket=True)
        rule("/api/jobs/<job_id>/logs", view_func=self._logs)
        rule("/api/jobs/<job_id>/artifacts", view_func=self._artifacts)
        rule("/api/jobs/<job_id>/artifacts/<path:name>", view_func=self._file)
        rule("/api/kinds", view_func=lambda: {"kinds": [CRAWL]}, endpoint="kinds")
        rule("/api/kinds/<name>", view_func=lambda name: {"crawling.site": CRAWL}[name], endpoint="kind")
        rule("/api/queues", view_func=lambda: {"queues": [{"queue": "crawler", "waiting": 2}]}, endpoint="queues")
        rule("/api/workers", view_func=lambda: {"workers": [{"name": "crawler@host#1", "pid": 7}]}, endpoint="workers")
        rule("/api/advice", view_func=self._advice)
        return app

    def _advice(self) -> Any:
        why = {"change": "more", "reasons": ["Two wait."]}
        return {
            "backend": "queue",
            "least_workers": 2,
            "most_workers": 4,
            "reasons": [str(dict(request.args))],
            "queues": [{"queue": "crawler", "workers": 1, "advised_workers": 2, **why}],
        }

    def _before(self) -> Response | None:
        self.seen.append((request.method, request.path))
        if request.path == "/health/live":
            return self.faults.pop(0) if self.faults else Response()
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return problem(401, "not_authenticated", detail="this key is not known")
        fault = self.faults.pop(0) if self.faults else None
        if fault == "lost":
            view = request.view_args or {}
            self._submit(**view)
        if isinstance(fault, str):
            hang_up()
            return Response()
        return fault

    def _submit(self, kind: str) -> Any:
        body = request.get_json()
        self.submits.append((dict(request.headers), body))
        if kind == "no.such":
            return problem(404, "unknown_kind", detail=f"no kind {kind}")
        if "url" in body["params"] and not str(body["params"]["url"]).startswith("http"):
            error = {"field": "params.url", "message": "expected an http address", "value": body["params"]["url"]}
            return problem(422, "input_rejected", detail="1 field was refused", errors=[error])
        key = request.headers["Idempotency-Key"]
        known = self.keys.get(key)
        if known and known[0] != request.data:
            return problem(422, "idempotency_key_reused", detail="the key stands for another request")
        if known:
            return self.jobs[known[1]].record, 202, {"Idempotency-Replayed": "true"}
        job = self.job(f"job-{len(self.jobs) + 1}", kind, **body["params"])
        self.keys[key] = (request.data, job.record["id"])
        self.on_submit(job)
        return job.record, 202, {"Location": f"/api/jobs/{job.record['id']}"}

    def _record(self, job_id: str) -> Any:
        job = self.jobs[job_id]
        wait_s, known = float(request.args.get("wait", 0)), request.headers.get("If-None-Match")
        with self._open("record"):
            job.wait(lambda: job.etag != known if known else job.is_terminal, wait_s)
        if known == job.etag:
            return Response(status=304, headers={"ETag": job.etag})
        return job.record, 200, {"ETag": job.etag}

    def _list(self) -> Any:
        states = request.args.getlist("state")
        found = [job.record for job in self.jobs.values() if not states or job.record["state"] in states]
        start, limit = int(request.args.get("cursor", 0)), min(2, int(request.args.get("limit", 50)))
        more = str(start + limit) if start + limit < len(found) else None
        return {"jobs": found[start : start + limit], "total": len(found), "next_cursor": more}

    def _cancel(self, job_id: str) -> Any:
        job = self.jobs[job_id]
        if job.is_terminal and job.record["state"] != "cancelled":
            return problem(409, "conflict", detail=f"the job has {job.record['state']}")
        if not job.is_terminal:
            job.append("state", state="cancelled", cause="cancel_requested")
        return job.record

    def _retry(self, job_id: str) -> Any:
        job = self.jobs[job_id]
        if job.record["state"] not in {"failed", "cancelled"}:
            return problem(409, "conflict", detail=f"the job is {job.record['state']}")
        return job.append("state", state="queued", cause="replayed").record, 202

    def _change(self, act: str = "erase") -> Any:
        states = request.args.getlist("state")
        found = [job for job in self.jobs.values() if not states or job.record["state"] in states]
        if request.args.get("confirm") != "true":
            detail = f"This would {act} {len(found)} jobs: repeat it with confirm=true."
            return problem(422, "confirmation_required", detail=detail, errors=[])
        limit = int(request.args.get("limit", 1000))
        return {"matched": len(found), "changed": min(limit, len(found)), "skipped": 0, "more": limit < len(found)}

    def _delete(self, job_id: str) -> Any:
        del self.jobs[job_id]
        return Response(status=204)

    def _events(self, job_id: str) -> Any:
        job, cursor = self.jobs[job_id], request.headers.get("Last-Event-ID")
        if self.sse == "html":
            return Response("<html>a proxy's page</html>", 200, mimetype="text/html")
        if cursor and job.is_terminal and int(cursor.rpartition("-")[2]) >= len(job.events):
            return Response(status=204)
        return Response(self._sse_body(job, cursor), mimetype="text/event-stream")

    def _sse_body(self, job: ScriptedJob, cursor: str | None) -> Iterator[bytes]:
        with self._open("sse"):
            yield b": hello\n\n"
            while self.sse == "buffered":
                time.sleep(0.05)
                yield b""
            for sent, event in enumerate(job.stream(cursor, heartbeat_s=self.heartbeat_s)):
                if self.drop_stream_every and sent >= self.drop_stream_every:
                    return
                if event is None:
                    yield b": heartbeat\n\n"
                else:
                    yield f"id: {event['id']}\nevent: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()

    def _socket(self, job_id: str) -> Any:
        if self.websocket == "refused":
            return Response("no upgrades here", 426, mimetype="text/plain")
        job = self.jobs[job_id]
        ws = simple_websocket.Server.accept(request.environ)
        with self._open("websocket"):
            try:
                for sent, event in enumerate(job.stream(request.args.get("after"), heartbeat_s=self.heartbeat_s)):
                    if self.drop_stream_every and sent >= self.drop_stream_every:
                        ws.close(1012)
                        break
                    if event:
                        ws.send(json.dumps(event))
                    elif frame := ws.receive(timeout=0):
                        ws.send(json.dumps({"type": "pong"})) if "ping" in frame else None
                else:
                    ws.close(1000)
            except simple_websocket.ConnectionClosed:
                pass
        hang_up()
        return Response()

    def _logs(self, job_id: str) -> Any:
        order = ["debug", "info", "warning", "error"]
        least = order.index(request.args.get("level", "debug"))
        lines = [line for line in self.logs.get(job_id, []) if order.index(line["level"]) >= least]
        offset, limit = int(request.args["offset"]), 2
        more = offset + limit if offset + limit < len(lines) else None
        return {"lines": lines[offset : offset + limit], "total": len(lines), "next_offset": more}

    def _artifacts(self, job_id: str) -> Any:
        names = [name for owner, name in self.files if owner == job_id]
        rows = [{"name": name, "size_bytes": len(self.files[job_id, name])} for name in names]
        return {"artifacts": rows}

    def _file(self, job_id: str, name: str) -> Any:
        asked = request.query_string.decode()
        content = self.files[job_id, f"{name}?{asked}" if asked else name]
        start = int(request.headers.get("Range", "bytes=0-")[6:-1])
        body, cut = content[start:], self.drop_file_at
        headers = {"ETag": '"file"', "Content-Length": str(len(body))}
        self.drop_file_at = None
        return Response(body if cut is None else cut_off(body, cut), 206 if start else 200, headers)

    def _open(self, what: str) -> "_Open":
        return _Open(self.open_requests, what)


class _Open:
    def __init__(self, counter: Counter[str], what: str) -> None:
        self.counter, self.what = counter, what

    def __enter__(self) -> None:
        self.counter[self.what] += 1

    def __exit__(self, *_: object) -> None:
        self.counter[self.what] -= 1


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_: object, **__: object) -> None:
        pass


def problem(status: int, code: str, *, detail: str = "", retry_after_s: int | None = None, **more: Any) -> Response:
    """Make a problem document."""
    body = {"type": "about:blank", "title": code, "status": status, "detail": detail, "code": code, **more}
    headers = {"Retry-After": str(retry_after_s)} if retry_after_s is not None else {}
    return Response(json.dumps(body), status, headers, content_type="application/problem+json")


def hang_up() -> None:
    """Break the connection of the request at hand."""
    with contextlib.suppress(OSError):
        request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)


def cut_off(body: bytes, length: int) -> Iterator[bytes]:
    """Send some of a body, then break the connection."""
    connection = request.environ["werkzeug.socket"]

    def parts() -> Iterator[bytes]:
        yield body[:length]
        connection.shutdown(socket.SHUT_RDWR)

    return parts()


CRAWL = {
    "kind": "crawling.site",
    "queue": "crawler",
    "summary": "Crawl one site.",
    "example": {"url": "https://example.org"},
    "request_schema": {"type": "object", "properties": {"url": {"type": "string"}}},
}
