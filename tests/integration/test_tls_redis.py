"""A Redis that speaks TLS only, with a certificate authority of one's own: jobs go through it, and nobody else's."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from kombu.exceptions import OperationalError

from tasks.core.records import JobState
from tasks.core.redis_events import connect
from tests.integration.house import House, LocalBroker, open_app
from tests.integration.processes import RedisContainer


class TLSRedisContainer(RedisContainer):
    """A private redis-server without a plain port. ``bare_url`` leaves it to the client what to check."""

    def __init__(self, folder: Path) -> None:
        self.ca = certificate(folder)
        files = ("--tls-cert-file", str(self.ca), "--tls-key-file", str(folder / "key.pem"))
        super().__init__(folder, *files, "--tls-ca-cert-file", str(self.ca), "--tls-auth-clients", "no")

    @property
    def url(self) -> str:
        """With what a client needs to check the server."""
        return f"{self.bare_url}?ssl_ca_certs={self.ca}"

    @property
    def bare_url(self) -> str:
        """Without."""
        return f"rediss://127.0.0.1:{self.port}/0"

    def options_of_port(self) -> list[str]:
        """TLS and nothing else."""
        return ["--port", "0", "--tls-port", str(self.port)]


def certificate(folder: Path) -> Path:
    """Make a certificate for this address, signed by itself."""
    name = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    key = ["-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "ca.pem"]
    subprocess.run(["openssl", "req", "-x509", *key, *name], cwd=folder, check=True, capture_output=True)
    return folder / "ca.pem"


@pytest.fixture(scope="module")
def celery_broker(folder: Path) -> Iterator[LocalBroker]:
    """The Redis of this house."""
    broker = LocalBroker(TLSRedisContainer(folder))
    yield broker
    broker.teardown()


def test_jobs_and_their_events_go_over_tls(house: House) -> None:
    """Submitted, carried, claimed and told, with no plain port anywhere."""
    job = house.submit()
    assert JobState.SUCCEEDED == house.await_end(job).state
    assert [(1, 1)] == house.effects(job)
    house.await_relayed()
    with house.broker.container.client as redis:
        assert 1 <= sum("events" in key or job.id in key for key in redis.scan_iter(count=1000))


def test_a_server_that_nobody_vouches_for_is_not_spoken_to(house: House, tmp_path: Path) -> None:
    """Neither by the broker's client nor by that of events: who sits between gets no job."""
    container = house.broker.container
    assert isinstance(container, TLSRedisContainer)
    with pytest.MonkeyPatch.context() as patch:
        app = open_app({**house.env, "SWITCHYARD_REDIS_URL": container.bare_url}, patch)
        try:
            with pytest.raises(OperationalError, match="certificate verify failed"), app.connection_for_write() as to:
                to.ensure_connection(max_retries=1, timeout=5)
            with pytest.raises(ConnectionError, match="certificate verify failed"):
                redis_of(app.kernel.settings.redis_url)
        finally:
            app.kernel.close()
            app.close()


def redis_of(url: str) -> None:
    """Ask the server how it is, as the code that tells events does."""
    client = connect(url, timeout_s=5)
    try:
        client.ping()
    except Exception as exc:
        raise ConnectionError(str(exc)) from exc
    finally:
        client.close()
