"""Tokens open one job's streams, for a while."""

import stat
from pathlib import Path

import httpx
import pytest

from app.streams.tokens import StreamTokens
from tasks.core.errors import NotAuthenticated
from tasks.core.secret_key import secret_key
from tasks.core.settings import Settings
from tests.app.streams.house import KEY, OTHER_KEY, TOKEN_KEY, House, add_other_tenant

JOB = "00000000-0000-7000-8000-000000000001"


@pytest.fixture
def tokens() -> StreamTokens:
    """Tokens that last."""
    return StreamTokens(TOKEN_KEY, ttl_s=60)


def test_token_speaks_for_its_tenant(tokens: StreamTokens) -> None:
    """And nothing else is needed to know whose it is."""
    token = tokens.issue(JOB, tenant_id="t1").token
    assert StreamTokens(TOKEN_KEY, ttl_s=60).tenant_of(token, job_id=JOB) == "t1"


def test_token_for_other_job_is_refused(tokens: StreamTokens) -> None:
    """One job each."""
    with pytest.raises(NotAuthenticated, match="another job"):
        tokens.tenant_of(tokens.issue(JOB, tenant_id="t1").token, job_id=JOB.replace("1", "2"))


def test_expired_token_is_refused() -> None:
    """Time is up."""
    tokens = StreamTokens(TOKEN_KEY, ttl_s=-1)
    with pytest.raises(NotAuthenticated, match="expired"):
        tokens.tenant_of(tokens.issue(JOB, tenant_id="t1").token, job_id=JOB)


@pytest.mark.parametrize("token", ["", "garbage", "a.b.c", "é", "x" * 100_000, "W10.aaaa.bbbb"])
def test_garbage_is_refused(tokens: StreamTokens, token: str) -> None:
    """Quietly."""
    with pytest.raises(NotAuthenticated):
        tokens.tenant_of(token, job_id=JOB)


def test_token_signed_with_other_key_is_refused(tokens: StreamTokens) -> None:
    """The key decides."""
    with pytest.raises(NotAuthenticated):
        tokens.tenant_of(StreamTokens("x" * 32, ttl_s=60).issue(JOB, tenant_id="t1").token, job_id=JOB)


def test_development_key_is_made_once_and_private(tmp_path: Path) -> None:
    """Every process of this machine signs alike."""
    settings = Settings(state_dir=tmp_path / "new")
    first = secret_key(settings)
    path = tmp_path / "new" / "secret-key"
    assert (first, 0o600) == (secret_key(settings), stat.S_IMODE(path.stat().st_mode))
    assert [path] == list(path.parent.iterdir())


def test_configured_key_leaves_no_file(tmp_path: Path) -> None:
    """Production has one already."""
    assert secret_key(Settings(state_dir=tmp_path, secret_key="k" * 32)) == "k" * 32
    assert not list(tmp_path.iterdir())


def test_issued_token_opens_the_stream_without_a_key(house: House, address: str) -> None:
    """What a browser does."""
    job = house.finish(house.running())
    made = httpx.post(f"http://{address}/api/jobs/{job.id}/stream-token", headers={"Authorization": f"Bearer {KEY}"})
    assert (made.status_code, made.headers["Cache-Control"]) == (201, "no-store")
    assert {"token", "expires_at"} == set(made.json())
    answer = httpx.get(f"http://{address}/api/jobs/{job.id}/events", params={"token": made.json()["token"]})
    assert "succeeded" in answer.text


def test_bad_token_is_401_even_with_a_key(house: House, address: str) -> None:
    """A client that sends a token means it."""
    job = house.running()
    headers = {"Authorization": f"Bearer {KEY}"}
    answer = httpx.get(f"http://{address}/api/jobs/{job.id}/events", params={"token": "x"}, headers=headers)
    assert answer.status_code == 401


def test_no_token_for_other_tenants_job(house: House, address: str) -> None:
    """404, as everywhere."""
    add_other_tenant(house.kernel)
    job = house.running()
    headers = {"Authorization": f"Bearer {OTHER_KEY}"}
    assert httpx.post(f"http://{address}/api/jobs/{job.id}/stream-token", headers=headers).status_code == 404
