"""Settings: every bad value at once, no secret shown, production refuses what is only safe at home."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from tasks.core.errors import ConfigurationRefused
from tasks.core.settings import SECRET_FIELDS, Settings, describe, load_settings

SECRET = "s3cret-" + "x" * 40


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch):  # a function
    """Set variables without their prefix."""

    def put(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"SWITCHYARD_{name}", value)

    return put


def refusal() -> list[str]:
    with pytest.raises(ConfigurationRefused) as refused:
        load_settings()
    return refused.value.message.splitlines()


def test_defaults_need_no_environment() -> None:
    """A fresh machine starts as it is."""
    settings = load_settings()
    assert settings.resolved_ledger_url == f"sqlite:///{Path.cwd() / 'var' / 'ledger.db'}"
    assert settings.resolved_storage_dir == Path.cwd() / "var" / "artifacts"


def test_settings_are_frozen() -> None:
    """Nobody changes them behind another's back."""
    with pytest.raises(ValidationError, match="frozen"):
        Settings().port = 1


def test_values_are_read_from_the_environment(environ) -> None:
    """Lists are comma-separated; an empty value is no value."""
    environ(PORT="9", CORS_ORIGINS="https://a, https://b,", EGRESS_PORTS="80,8080", HOST="")
    settings = load_settings()
    assert (settings.port, settings.host) == (9, "127.0.0.1")
    assert (settings.cors_origins, settings.egress_ports) == (("https://a", "https://b"), (80, 8080))


def test_every_bad_value_is_listed_at_once(environ) -> None:
    """Those of single fields, and those that only show beside others."""
    environ(PORT="x", BEAT_S="99", REDIS_URL="http://h", LOG_LEVEL="loud", SECRET_KEY="short", EGRESS_ALLOW="a,b:1")
    assert [line.partition(":")[0] for line in refusal()] == [
        "SWITCHYARD_REDIS_URL",
        "SWITCHYARD_PORT",
        "SWITCHYARD_BEAT_S",
        "SWITCHYARD_LOG_LEVEL",
        "SWITCHYARD_SECRET_KEY",
        "SWITCHYARD_EGRESS_ALLOW",
    ]


def test_bad_element_of_a_list_names_its_setting(environ) -> None:
    """The line says which variable to mend."""
    environ(EGRESS_PORTS="80,http")
    (line,) = refusal()
    assert line.startswith("SWITCHYARD_EGRESS_PORTS: ")
    assert "http" in line


def test_refusal_shows_the_value_it_got(environ) -> None:
    """The remedy is in the message."""
    environ(PORT="70000")
    assert refusal() == ["SWITCHYARD_PORT: Input should be less than or equal to 65535 (got '70000')"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", "hunter2"),
        ("REDIS_URL", "http://user:hunter2@h"),
        ("LEDGER_URL", "mysql://user:hunter2@h/db"),
        ("LEDGER_URL", "mysql://user:p:hunter2/@@h/db"),
    ],
)
def test_refusal_shows_no_secret(environ, name: str, value: str) -> None:
    """Neither in the message nor in the error that caused it, which a traceback would print."""
    environ(**{name: value})
    with pytest.raises(ConfigurationRefused) as refused:
        load_settings()
    assert "hunter2" not in refused.value.message
    assert "hunter2" not in str(refused.value.__cause__)


@pytest.mark.parametrize("url", ["sqlite:///:memory:", "sqlite://", "sqlite:///file::memory:?uri=true"])
def test_ledger_in_memory_is_refused(environ, url: str) -> None:
    """Several processes share it."""
    environ(LEDGER_URL=url)
    assert "SWITCHYARD_LEDGER_URL: must name a file: several processes share the ledger" in refusal()[0]


def test_lease_must_outlast_beats(environ) -> None:
    """One missed beat is no death."""
    environ(BEAT_S="1", LEASE_S="2")
    assert refusal() == ["SWITCHYARD_LEASE_S: 2 must be at least three times beat_s (1)"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PUBLISH_BUCKET", "No Bucket"),
        ("PUBLISH_BUCKET_URL", "s3.example"),
        ("PUBLISH_BUCKET_URL", "https://key:hunter2@s3.example"),
        ("PUBLISH_BUCKET_URL", "https://s3.example/bucket"),
        ("PUBLISH_BUCKET_SECRET", "hunter2"),
    ],
)
def test_bucket_is_told_whole_or_refused(environ, name: str, value: str) -> None:
    """Each line names the setting and shows no secret."""
    environ(**{name: value})
    found = refusal()
    assert [f"SWITCHYARD_{name}"] == [line.partition(":")[0] for line in found]
    assert "hunter2" not in found[0]


def test_production_lists_what_is_only_safe_at_home(environ) -> None:
    """Secrets must be given, and traffic off this machine is encrypted."""
    environ(
        ENVIRONMENT="production",
        REDIS_URL="redis://cache:6379/0",
        LEDGER_URL="postgresql://db/x?sslmode=prefer",
        CORS_ORIGINS="*",
        PUBLISH_BUCKET_URL="http://store",
    )
    names = ["SECRET_KEY", "FLOWER_PASSWORD", "REDIS_URL", "LEDGER_URL", "PUBLISH_BUCKET_URL", "CORS_ORIGINS"]
    assert [f"SWITCHYARD_{name}" for name in names] == [line.partition(":")[0] for line in refusal()]


@pytest.mark.parametrize(
    ("redis_url", "ledger_url"),
    [
        ("rediss://cache/0", "postgresql://db/x?sslmode=verify-full"),
        ("redis://127.0.0.1/0", "postgresql://localhost/x"),
        ("redis://[::1]/0", "sqlite:////var/lib/x.db"),
    ],
)
def test_production_accepts_encryption_or_loopback(environ, redis_url: str, ledger_url: str) -> None:
    """TLS off this machine, plain on it."""
    environ(ENVIRONMENT="production", SECRET_KEY=SECRET, FLOWER_PASSWORD="p")
    environ(REDIS_URL=redis_url, LEDGER_URL=ledger_url)
    assert load_settings().redis_url.removesuffix("?ssl_cert_reqs=required") == redis_url


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("redis://cache/0", "redis://cache/0"),
        ("rediss://cache/0", "rediss://cache/0?ssl_cert_reqs=required"),
        ("rediss://cache/0?ssl_ca_certs=/ca.pem", "rediss://cache/0?ssl_ca_certs=/ca.pem&ssl_cert_reqs=required"),
        ("rediss://cache/0?ssl_cert_reqs=none", "rediss://cache/0?ssl_cert_reqs=none"),
    ],
)
def test_certificates_are_checked_unless_somebody_says_otherwise(given: str, expected: str) -> None:
    """By every client alike."""
    assert expected == Settings(redis_url=given).redis_url


def test_production_does_not_take_any_certificate(environ) -> None:
    """Whoever sits between could have it."""
    environ(
        ENVIRONMENT="production", SECRET_KEY=SECRET, FLOWER_PASSWORD="p", REDIS_URL="rediss://h/0?ssl_cert_reqs=none"
    )
    assert [line.partition(",")[0] for line in refusal()] == ["SWITCHYARD_REDIS_URL: production checks certificates"]


def test_ledger_url_names_its_driver() -> None:
    """An operator need not know which one we use."""
    assert Settings(ledger_url="postgresql://h/d").resolved_ledger_url == "postgresql+psycopg://h/d"
    assert Settings(ledger_url="postgresql+psycopg://h/d").resolved_ledger_url == "postgresql+psycopg://h/d"


def test_description_masks_secrets_and_passwords() -> None:
    """It can be pasted into a ticket."""
    settings = Settings(
        secret_key=SECRET,
        flower_password="hunter2",
        redis_url="rediss://:hunter2@h/0",
        ledger_url="postgresql://u:hunter2@h/d",
        sentry_dsn="https://hunter2@s/1",
        metrics_token="hunter2",
        knowledge_key="hunter2",
        publish_cache_token="hunter2",
        publish_bucket_key="hunter2",
        publish_bucket_secret="hunter2",
        discovery_model_key="hunter2",
        otel_endpoint="https://u:hunter2@o",
    )
    shown = {row["name"].removeprefix("SWITCHYARD_").lower(): row["value"] for row in describe(settings)}
    assert dict.fromkeys(SECRET_FIELDS, "********") == {name: shown[name] for name in SECRET_FIELDS}
    assert shown["redis_url"] == "rediss://:***@h/0?ssl_cert_reqs=required"
    assert shown["ledger_url"] == "postgresql://u:***@h/d"
    assert not [value for value in shown.values() if "hunter2" in value or SECRET in value]


def test_description_lists_every_setting() -> None:
    """With its default and a sentence."""
    rows = describe(Settings(cors_origins="https://a,https://b"))
    assert len(Settings.model_fields) == len(rows)
    assert [row["name"] for row in rows if not row["description"].endswith((".", ")"))] == []
    (cors,) = [row for row in rows if row["name"] == "SWITCHYARD_CORS_ORIGINS"]
    assert (cors["value"], cors["default"]) == ("https://a,https://b", "")


def test_every_setting_is_documented() -> None:
    """``docs/settings.md`` has a row for each, with its default and description, and for nothing else."""
    page = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()
    rows = re.findall(r"^\| `(SWITCHYARD_\w+)` \| (.*?) \| (.*) \|$", page, flags=re.MULTILINE)
    expected = [
        (row["name"], f"`{row['default']}`" if row["default"] else "none", row["description"].replace("|", r"\|"))
        for row in describe(Settings())
    ]
    assert expected == rows
