"""Keys: who asks, and how keys are made and revoked."""

import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient

from app.auth import ensure_key
from app.command import main
from app.keyring import Keyring
from app.services import Services
from tasks.core.errors import ConfigurationRefused
from tasks.core.kernel import Kernel
from tasks.core.ledger import tenants
from tasks.core.settings import Settings
from tests.app.conftest import Caller

SAFE = {"environment": "production", "secret_key": "s" * 32, "flower_password": "p"}


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic dTpw", "Bearer nope", "sy_x", "Bearer ü"])
def test_request_without_a_live_key_is_401(client: FlaskClient, header: str | None) -> None:
    """Anything but a live bearer key is refused."""
    response = client.get("/api/jobs", headers={} if header is None else {"Authorization": header})
    assert (response.status_code, response.json["code"]) == (401, "not_authenticated")


def test_scheme_is_not_case_sensitive(alice: Caller) -> None:
    """RFC 9110, section 11.1."""
    response = alice.client.get("/api/jobs", headers={"Authorization": f"bearer {alice.key}"})
    assert response.status_code == 200


def test_revoked_key_stops_working_within_its_memory(kernel: Kernel) -> None:
    """A key is remembered for a moment only."""
    clock = [0.0]
    key = tenants.create_key(kernel.ledger, tenant="alice", name="k")
    keyring = Keyring(kernel.ledger, ttl_s=2.0, clock=lambda: clock[0])
    assert keyring.tenant_of(key) is not None
    tenants.revoke_key(kernel.ledger, tenants.list_keys(kernel.ledger)[0].id)
    clock[0] = 2.1
    assert keyring.tenant_of(key) is None


def test_known_key_costs_no_read_of_the_ledger(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Most requests need no lookup."""
    key = tenants.create_key(kernel.ledger, tenant="alice", name="k")
    keyring = Keyring(kernel.ledger)
    tenant = keyring.tenant_of(key)
    monkeypatch.setattr(tenants, "tenant_of", lambda *_: pytest.fail("read the ledger"))
    assert keyring.tenant_of(key) == tenant


def test_use_of_a_key_is_noted(alice: Caller, services: Services) -> None:
    """An operator sees which keys are in use."""
    alice.get("/api/jobs")
    (key,) = tenants.list_keys(services.kernel.ledger)
    assert key.last_used_at is not None


def test_development_makes_one_key_and_prints_it_again(settings: Settings, kernel: Kernel) -> None:
    """A restart shows the same key."""
    first = ensure_key(settings, kernel.ledger)
    assert first is not None
    assert ensure_key(settings, kernel.ledger) == first
    assert tenants.tenant_of(kernel.ledger, first) is not None


def test_development_key_is_private(settings: Settings, kernel: Kernel) -> None:
    """Nobody else on the machine may read it."""
    ensure_key(settings, kernel.ledger)
    assert stat.S_IMODE((settings.state_dir / "dev-key").stat().st_mode) == 0o600


def test_development_key_survives_a_new_ledger(settings: Settings, kernel: Kernel) -> None:
    """Scripts that know the key go on working after the ledger was thrown away."""
    path = settings.state_dir / "dev-key"
    path.write_text("sy_kept\n")
    assert ensure_key(settings, kernel.ledger) == "sy_kept"


def test_development_key_that_was_revoked_is_replaced(settings: Settings, kernel: Kernel) -> None:
    """A revoked key never comes back."""
    first = ensure_key(settings, kernel.ledger)
    tenants.revoke_key(kernel.ledger, tenants.list_keys(kernel.ledger)[0].id)
    assert ensure_key(settings, kernel.ledger) not in {first, None}


def test_no_key_is_made_where_one_lives(settings: Settings, kernel: Kernel) -> None:
    """A server with real keys needs no default one."""
    tenants.create_key(kernel.ledger, tenant="alice", name="real")
    assert ensure_key(settings, kernel.ledger) is None


@pytest.mark.parametrize("values", [SAFE, {"host": "0.0.0.0"}])
def test_server_that_others_reach_refuses_to_start_without_a_key(
    make_settings: Callable[..., Settings], kernel: Kernel, values: dict[str, str]
) -> None:
    """A printed key is for one's own machine."""
    with pytest.raises(ConfigurationRefused, match="keys create"):
        ensure_key(make_settings(**values), kernel.ledger)


def test_production_does_not_count_the_development_key(
    make_settings: Callable[..., Settings], settings: Settings, kernel: Kernel
) -> None:
    """A key that was printed on a console protects nothing."""
    ensure_key(settings, kernel.ledger)
    with pytest.raises(ConfigurationRefused):
        ensure_key(make_settings(**SAFE), kernel.ledger)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """The command line on a temporary ledger; returns what it prints."""
    monkeypatch.setenv("SWITCHYARD_STATE_DIR", str(tmp_path / "state"))

    def call(*arguments: str, exit_code: int = 0) -> str:
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == exit_code, result.output
        return result.output

    return call


def test_key_made_on_the_command_line_signs_in(run: Callable[..., str], kernel: Kernel) -> None:
    """`keys create` prints a key that works."""
    key = run("keys", "create", "--tenant", "alice", "--name", "laptop").strip()
    tenant = tenants.tenant_of(kernel.ledger, key)
    assert tenant is not None
    assert tenant.name == "alice"


def test_list_never_shows_a_key(run: Callable[..., str]) -> None:
    """What is listed opens nothing."""
    key = run("keys", "create", "--tenant", "alice", "--name", "laptop").strip()
    listed = run("keys", "list")
    assert "laptop" in listed
    assert key not in listed


def test_key_is_revoked_by_its_id(run: Callable[..., str], kernel: Kernel) -> None:
    """`keys revoke` takes what `keys list` shows."""
    key = run("keys", "create", "--tenant", "alice", "--name", "laptop").strip()
    run("keys", "revoke", run("keys", "list").split()[0])
    assert tenants.tenant_of(kernel.ledger, key) is None
    assert "revoked" in run("keys", "list")


def test_revoking_an_unknown_key_fails(run: Callable[..., str]) -> None:
    """A mistyped id is told so."""
    assert "No live key" in run("keys", "revoke", "nothing", exit_code=1)


def test_refused_settings_end_the_server_with_2_and_every_reason(
    run: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator sees all that is wrong at once."""
    monkeypatch.setenv("SWITCHYARD_PORT", "99999")
    monkeypatch.setenv("SWITCHYARD_WEB_THREADS", "0")
    output = run("serve", exit_code=2)
    assert "PORT" in output
    assert "WEB_THREADS" in output
