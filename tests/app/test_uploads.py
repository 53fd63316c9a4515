"""``/api/uploads``: whole files, and tus 1.0.0 as its specification has it."""

import base64
import hashlib
from collections.abc import Callable
from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
from werkzeug.http import parse_date
from werkzeug.test import TestResponse

from app.openapi import API
from app.services import Services
from tasks.core.clock import now
from tasks.core.ids import new_id
from tasks.core.ledger import accepting, uploads
from tasks.core.ledger.uploads import Unused
from tests.app.conftest import Caller, sign_in
from tests.samples import a_job

CONTENT = b"ID,cause\n1,malaria\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
TUS = {"Tus-Resumable": "1.0.0"}
PIECE = {**TUS, "Content-Type": "application/offset+octet-stream"}


def b64(data: bytes | str) -> str:
    return base64.b64encode(data.encode() if isinstance(data, str) else data).decode()


def begin(by: Caller, size: int = len(CONTENT), **headers: str) -> str:
    """Begin a resumable upload; return its path."""
    answer = by.post("/api/uploads", headers={**TUS, "Upload-Length": str(size), **headers})
    assert answer.status_code == 201, answer.text
    return answer.headers["Location"]


def send(by: Caller, path: str, offset: int, data: bytes, **headers: str) -> TestResponse:
    return by.open("PATCH", path, data=data, headers={**PIECE, "Upload-Offset": str(offset), **headers})


def head(by: Caller, path: str) -> TestResponse:
    return by.open("HEAD", path, headers=TUS)


def code(answer: TestResponse) -> tuple[int, str]:
    problem: dict[str, Any] = answer.json or {}
    assert "application/problem+json" == answer.content_type
    return answer.status_code, problem["code"]


def content_of(at: Services, by: Caller, upload_id: str) -> bytes:
    with at.kernel.uploads.open(by.tenant_id, upload_id) as file:
        return file.read()


def test_file_is_sent_whole(alice: Caller, services: Services) -> None:
    """As the body: 201 with what is known of it."""
    answer = alice.post("/api/uploads?name=C:\\data\\deaths.csv", data=CONTENT, headers={"Content-Type": "text/csv"})
    assert 201 == answer.status_code
    record = answer.json
    assert f"/api/uploads/{record['id']}" == answer.headers["Location"] == record["href"]
    assert {
        "size_bytes": len(CONTENT),
        "offset_bytes": len(CONTENT),
        "complete": True,
        "sha256": SHA256,
        "name": "deaths.csv",
        "media_type": "text/csv",
    }.items() <= record.items()
    assert CONTENT == content_of(services, alice, record["id"])
    assert record == alice.get(record["href"]).json


def test_file_is_sent_as_a_form(alice: Caller, services: Services) -> None:
    """As a browser's form does, or `curl -F`."""
    answer = alice.post("/api/uploads", data={"file": (BytesIO(CONTENT), "deaths.csv", "text/csv; charset=utf-8")})
    assert (201, "deaths.csv", "text/csv", SHA256) == (
        answer.status_code,
        *(answer.json[name] for name in ("name", "media_type", "sha256")),
    )
    assert CONTENT == content_of(services, alice, answer.json["id"])
    two = {"a": (BytesIO(b"1"), "a"), "b": (BytesIO(b"2"), "b")}
    for form in (two, {"text": "no file"}):
        assert (422, "input_rejected") == code(
            alice.post("/api/uploads", data=form, content_type="multipart/form-data")
        )
    broken = alice.post(
        "/api/uploads",
        data=b'--x\r\nContent-Disposition: form-data; name="a"',
        content_type="multipart/form-data; boundary=x",
    )
    assert (400, "malformed") == code(broken)
    assert 1 == len(alice.get("/api/uploads").json["uploads"])


def test_announced_digest_is_checked(alice: Caller) -> None:
    """And nothing of a wrong file stays."""
    good = alice.post(f"/api/uploads?sha256={SHA256.upper()}", data=CONTENT)
    wrong = alice.post(f"/api/uploads?sha256={SHA256}", data=CONTENT[::-1])
    assert 201 == good.status_code
    assert (460, "checksum_mismatch") == code(wrong)
    assert "460 Checksum Mismatch" == wrong.status
    assert [good.json["id"]] == [one["id"] for one in alice.get("/api/uploads").json["uploads"]]


def test_whole_file_needs_its_length(alice: Caller) -> None:
    """Room is kept before the first byte comes."""
    answer = alice.post("/api/uploads", input_stream=BytesIO(CONTENT), headers={"Transfer-Encoding": "chunked"})
    assert (411, "length_required") == code(answer)


def test_content_is_asked_for_by_its_digest(alice: Caller, bob: Caller) -> None:
    """Who finds it need not send it; another tenant does not find it."""
    path = f"/api/uploads?sha256={SHA256}"
    assert (404, "not_found") == code(alice.get(path))
    assert 404 == alice.open("HEAD", path).status_code
    begun = begin(alice, **{"Upload-Metadata": f"sha256 {b64(SHA256)}"})
    assert 404 == alice.get(path).status_code
    assert [begun] == [one["href"] for one in alice.get(f"{path}&complete=false").json["uploads"]]
    sent = alice.post("/api/uploads", data=CONTENT).json
    assert [sent] == alice.get(path).json["uploads"]
    assert 200 == alice.open("HEAD", path).status_code
    assert 404 == bob.get(path).status_code


def test_list_goes_page_by_page(alice: Caller, bob: Caller) -> None:
    """Newest first, with what counts against the quota."""
    sent = [alice.post("/api/uploads", data=bytes([n])).json["id"] for n in range(5)]
    seen, query = [], "?limit=2"
    while query:
        page = alice.get(f"/api/uploads{query}").json
        seen += [one["id"] for one in page["uploads"]]
        query = page["next_cursor"] and f"?limit=2&cursor={page['next_cursor']}"
    assert sent[::-1] == seen
    assert (5, 10 * 1024**3) == (page["kept_bytes"], page["quota_bytes"])
    assert [] == bob.get("/api/uploads").json["uploads"]


def test_server_tells_what_it_can(alice: Caller) -> None:
    """Core protocol, OPTIONS: no key is needed, and no version."""
    for path in ("/api/uploads", f"/api/uploads/{new_id()}"):
        answer = alice.client.options(path)
        assert (204, "") == (answer.status_code, answer.text)
        assert {
            "Tus-Version": "1.0.0",
            "Tus-Extension": "creation,creation-with-upload,expiration,checksum,termination",
            "Tus-Max-Size": str(1024**3),
            "Tus-Checksum-Algorithm": "sha1,sha256",
        }.items() <= dict(answer.headers).items()
        assert "Tus-Resumable" not in answer.headers


def test_upload_is_created_and_sent_in_pieces(alice: Caller, services: Services) -> None:
    """Creation, HEAD and PATCH, with the headers of each."""
    metadata = f"filename {b64('tod/deaths ü.csv')},filetype {b64('text/csv')},flag,sha256 {b64(SHA256)}"
    answer = alice.post(
        "/api/uploads", headers={**TUS, "Upload-Length": str(len(CONTENT)), "Upload-Metadata": metadata}
    )
    path = answer.headers["Location"]
    assert (201, "1.0.0", "0") == (
        answer.status_code,
        answer.headers["Tus-Resumable"],
        answer.headers["Upload-Offset"],
    )
    assert ("deaths ü.csv", "text/csv", False) == tuple(
        answer.json[name] for name in ("name", "media_type", "complete")
    )
    told = head(alice, path)
    assert 200 == told.status_code
    assert {
        "Upload-Offset": "0",
        "Upload-Length": str(len(CONTENT)),
        "Upload-Metadata": metadata,
        "Tus-Resumable": "1.0.0",
        "Cache-Control": "no-store",
    }.items() <= dict(told.headers).items()
    first = send(alice, path, 0, CONTENT[:5])
    assert (204, "5", "") == (first.status_code, first.headers["Upload-Offset"], first.text)
    expires = parse_date(first.headers["Upload-Expires"])
    assert expires is not None
    assert timedelta(hours=23) < expires - now() <= timedelta(days=1)
    assert "5" == head(alice, path).headers["Upload-Offset"]
    last = send(alice, path, 5, CONTENT[5:])
    assert (204, str(len(CONTENT))) == (last.status_code, last.headers["Upload-Offset"])
    assert "Upload-Expires" not in last.headers
    record = alice.get(path).json
    assert (True, SHA256) == (record["complete"], record["sha256"])
    assert CONTENT == content_of(services, alice, record["id"])


def test_creation_may_bring_the_first_piece(alice: Caller) -> None:
    """Extension creation-with-upload; all of it, or a part."""
    for sent in (CONTENT, CONTENT[:7]):
        answer = alice.post("/api/uploads", data=sent, headers={**PIECE, "Upload-Length": str(len(CONTENT))})
        assert (201, str(len(sent))) == (answer.status_code, answer.headers["Upload-Offset"])
        assert answer.json["complete"] is (sent == CONTENT)
    wrong = alice.post(
        "/api/uploads", data=CONTENT, headers={**TUS, "Upload-Length": "100", "Content-Type": "text/csv"}
    )
    assert (415, "unsupported_media_type") == code(wrong)


def test_file_without_bytes_is_complete_at_once(alice: Caller) -> None:
    """There is nothing to send."""
    record = alice.get(begin(alice, 0)).json
    assert (True, hashlib.sha256(b"").hexdigest()) == (record["complete"], record["sha256"])


def test_wrong_offset_is_a_conflict(alice: Caller) -> None:
    """And changes nothing."""
    path = begin(alice)
    send(alice, path, 0, CONTENT[:5])
    for offset in (0, 4, 6):
        assert (409, "offset_mismatch") == code(send(alice, path, offset, CONTENT[offset:]))
    assert "5" == head(alice, path).headers["Upload-Offset"]


def test_other_versions_are_refused(alice: Caller) -> None:
    """With the version there is; HEAD and DELETE need none, so that curl and browsers can."""
    path = begin(alice)
    for method, target in (("POST", "/api/uploads"), ("PATCH", path), ("HEAD", path), ("DELETE", path)):
        answer = alice.open(method, target, headers={"Tus-Resumable": "0.2.2", "Upload-Length": "1"})
        assert (412, "1.0.0") == (answer.status_code, answer.headers["Tus-Version"])
    for method, headers in (("POST", {"Upload-Length": "1"}), ("PATCH", {"Upload-Offset": "0"})):
        target = path if method == "PATCH" else "/api/uploads"
        assert (412, "precondition_failed") == code(alice.open(method, target, headers=headers))
    assert 200 == alice.open("HEAD", path).status_code
    assert 204 == alice.delete(path).status_code


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Content-Type": "text/csv"}, (415, "unsupported_media_type")),
        ({"Upload-Offset": "-1"}, (400, "malformed")),
        ({"Upload-Offset": "1e3"}, (400, "malformed")),
        ({"Upload-Offset": ""}, (400, "malformed")),
        ({"Upload-Checksum": f"md5 {b64(b'x' * 16)}"}, (400, "malformed")),
        ({"Upload-Checksum": "sha256 not base64"}, (400, "malformed")),
        ({"Upload-Checksum": f"sha256 {b64(b'short')}"}, (400, "malformed")),
        ({"Upload-Checksum": f"sha256 {b64(b'x' * 32)}"}, (460, "checksum_mismatch")),
    ],
)
def test_bad_piece_is_refused(alice: Caller, headers: dict[str, str], expected: tuple[int, str]) -> None:
    """Nothing of it is kept."""
    path = begin(alice)
    assert expected == code(send(alice, path, 0, CONTENT, **headers))
    assert "0" == head(alice, path).headers["Upload-Offset"]


def test_piece_may_not_go_beyond_the_end(alice: Caller) -> None:
    """413, before anything is written."""
    path = begin(alice)
    assert (413, "too_large") == code(send(alice, path, 0, CONTENT + b"!"))
    assert "0" == head(alice, path).headers["Upload-Offset"]


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_pieces_are_checked(alice: Caller, algorithm: str) -> None:
    """Extension checksum; at creation, too."""
    digest = {"Upload-Checksum": f"{algorithm} {b64(hashlib.new(algorithm, CONTENT[:5]).digest())}"}
    path = begin(alice)
    assert 204 == send(alice, path, 0, CONTENT[:5], **digest).status_code
    headers = {**PIECE, **digest, "Upload-Length": str(len(CONTENT))}
    assert "5" == alice.post("/api/uploads", data=CONTENT[:5], headers=headers).headers["Upload-Offset"]
    before = alice.get("/api/uploads").json
    assert 460 == alice.post("/api/uploads", data=CONTENT[:4], headers=headers).status_code
    assert before == alice.get("/api/uploads").json


@pytest.mark.parametrize(
    "headers",
    [
        {"Upload-Length": "-5"},
        {"Upload-Length": "many"},
        {"Upload-Defer-Length": "1"},
        {"Upload-Length": "1", "Upload-Metadata": "filename ?"},
        {"Upload-Length": "1", "Upload-Metadata": "a YQ==,a YQ=="},
        {"Upload-Length": "1", "Upload-Metadata": f"sha256 {b64('abc')}"},
        {"Upload-Length": "1", "Upload-Metadata": f"x {b64('x' * 3100)}"},
    ],
)
def test_bad_creation_is_refused(alice: Caller, headers: dict[str, str]) -> None:
    """With the header's name."""
    answer = alice.post("/api/uploads", headers={**TUS, **headers})
    assert (400, "malformed") == code(answer)
    assert [] == alice.get("/api/uploads").json["uploads"]


def test_limits_are_told_apart(make_app: Callable[..., API]) -> None:
    """One upload's, and one tenant's; and bodies that are no files keep their own."""
    app = make_app(upload_limit_bytes=2048, upload_quota_bytes=3000, body_limit_bytes=1024)
    alice = sign_in(app, "alice")
    assert (413, "too_large") == code(alice.post("/api/uploads", headers={**TUS, "Upload-Length": "2049"}))
    assert (413, "too_large") == code(alice.post("/api/uploads", data=b"x" * 2049))
    assert (413, "too_large") == code(alice.post("/api/uploads", data=b"x" * (2048 + 1024 + 65536 + 1)))
    assert 201 == alice.post("/api/uploads", data=b"x" * 2048).status_code
    assert (413, "quota_exceeded") == code(alice.post("/api/uploads", data=b"x" * 1000))
    padded = {"params": {"message": "x"}, "reference": "y" * 1100}
    assert (413, "too_large") == code(alice.post("/api/jobs/maintenance.ping", json=padded))
    assert 413 == alice.post("/api/calibration/preview", data=b"x" * 2000, content_type="text/csv").status_code


def test_upload_is_deleted(alice: Caller, services: Services) -> None:
    """Extension termination; then it is 404, and its quota is free."""
    path = begin(alice)
    send(alice, path, 0, CONTENT[:5])
    answer = alice.delete(path, headers=TUS)
    assert (204, "1.0.0") == (answer.status_code, answer.headers["Tus-Resumable"])
    for again in (alice.delete(path), alice.get(path), send(alice, path, 5, CONTENT[5:])):
        assert (404, "not_found") == code(again)
    assert 0 == alice.get("/api/uploads").json["kept_bytes"]
    assert [] == list(services.kernel.uploads.files.ids())


def test_upload_that_a_job_needs_is_not_deleted(alice: Caller, services: Services) -> None:
    """The job must be able to run again."""
    record = alice.post("/api/uploads", data=CONTENT).json
    accepting.accept(services.kernel.ledger, a_job(_tenant(alice)), uploads=[record["id"]])
    assert (409, "conflict") == code(alice.delete(record["href"]))


def _tenant(by: Caller) -> Any:
    from tasks.core.ledger.tenants import Tenant

    return Tenant(by.tenant_id, "alice")


def test_another_tenants_upload_is_404(alice: Caller, bob: Caller) -> None:
    """Whatever is asked of it, and nothing of it is changed."""
    path = begin(alice)
    send(alice, path, 0, CONTENT[:5])
    assert 404 == head(bob, path).status_code
    assert (404, "not_found") == code(bob.get(path))
    assert (404, "not_found") == code(send(bob, path, 5, CONTENT[5:]))
    assert (404, "not_found") == code(bob.delete(path))
    assert "5" == head(alice, path).headers["Upload-Offset"]
    assert 401 == alice.client.head(path).status_code


def test_proxies_that_know_only_get_and_post_are_served(alice: Caller) -> None:
    """`X-HTTP-Method-Override`, of the core protocol."""
    path = begin(alice)
    piece = {**PIECE, "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    assert (204, "5") == (
        (answer := alice.post(path, data=CONTENT[:5], headers=piece)).status_code,
        answer.headers["Upload-Offset"],
    )
    assert "5" == alice.post(path, headers={**TUS, "X-HTTP-Method-Override": "HEAD"}).headers["Upload-Offset"]
    assert (400, "malformed") == code(alice.post(path, headers=TUS))
    assert 204 == alice.post(path, headers={**TUS, "X-HTTP-Method-Override": "DELETE"}).status_code
    assert 404 == alice.get(path).status_code


def test_second_sender_is_locked_out(alice: Caller, services: Services) -> None:
    """423 while the first sends; then it may go on."""
    path = begin(alice)
    with services.kernel.uploads.files.writing(path.rpartition("/")[2]):
        for answer in (send(alice, path, 0, CONTENT), alice.delete(path)):
            assert (423, "upload_locked") == code(answer)
        assert "0" == head(alice, path).headers["Upload-Offset"]
    assert 204 == send(alice, path, 0, CONTENT).status_code


def test_browsers_may_send_and_read_the_headers(make_app: Callable[..., API]) -> None:
    """Where an origin is allowed, so are the protocol's headers."""
    app = make_app(cors_origins=("https://example.org",))
    alice = sign_in(app, "alice")
    origin = {"Origin": "https://example.org"}
    preflight = alice.client.options("/api/uploads", headers={**origin, "Access-Control-Request-Method": "PATCH"})
    allowed = preflight.headers["Access-Control-Allow-Headers"]
    for name in ("Tus-Resumable", "Upload-Offset", "Upload-Length", "Upload-Metadata", "Upload-Checksum"):
        assert name in allowed
    exposed = alice.get("/api/uploads", headers=origin).headers["Access-Control-Expose-Headers"]
    for name in ("Location", "Upload-Offset", "Upload-Length", "Tus-Version", "Tus-Resumable", "Tus-Max-Size"):
        assert name in exposed


def test_description_has_every_call(alice: Caller) -> None:
    """HEAD and PATCH among them, and what bodies there are."""
    paths = alice.get("/openapi").json["paths"]
    assert {"get", "head", "post"} <= set(paths["/api/uploads"])
    one = paths["/api/uploads/{upload_id}"]
    assert {"get", "head", "patch", "delete", "post"} <= set(one)
    assert {"application/octet-stream", "multipart/form-data"} == set(
        paths["/api/uploads"]["post"]["requestBody"]["content"]
    )
    assert ["application/offset+octet-stream"] == list(one["patch"]["requestBody"]["content"])
    assert "460" in one["patch"]["responses"]
    calibration = paths["/api/jobs/calibration.va"]["post"]["requestBody"]["content"]
    assert {"application/json", "multipart/form-data"} == set(calibration)
    assert ["application/json"] == list(paths["/api/jobs/maintenance.ping"]["post"]["requestBody"]["content"])


def test_uploads_are_counted(alice: Caller, services: Services) -> None:
    """Bytes, completed and refused ones, of this process; removed ones over all."""
    alice.post("/api/uploads", data=CONTENT)
    place = begin(alice)
    send(alice, place, 0, CONTENT[:5])
    alice.post("/api/uploads", data=CONTENT, query_string={"sha256": "0" * 64})
    late = now() + timedelta(days=3)
    assert 2 == len(uploads.forget_unused(services.kernel.ledger, Unused(late), limit=10))
    told = dict(line.rsplit(" ", 1) for line in alice.get("/metrics").text.splitlines() if "_upload" in line)
    assert str(float(2 * len(CONTENT) + 5)) == told["switchyard_upload_bytes_total"]
    assert "1.0" == told['switchyard_uploads_total{outcome="complete"}']
    assert "1.0" == told['switchyard_uploads_total{outcome="refused"}']
    assert "2.0" == told["switchyard_uploads_expired_total"]
