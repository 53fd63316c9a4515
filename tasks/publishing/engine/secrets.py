"""What is never meant for visitors: private keys, tokens of known forms, and files that are full of them.

A finding ends a publication, so only what has a form of its own counts: no word that may be a password.
"""

import json
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from tasks.publishing.engine.memo import Memo
from tasks.publishing.engine.tree import SiteFile

# Enough of a file to find a key in; what is larger is no text that somebody wrote.
_SCANNED_BYTES = 2 * 2**20
_NAMES = {
    ".bash_history": "a history of commands",
    ".dockercfg": "a file that may hold a password",
    ".env": "a file of settings with passwords",
    ".git-credentials": "a file of passwords",
    ".htpasswd": "a file of passwords",
    ".my.cnf": "a file that may hold a password",
    ".netrc": "a file of passwords",
    ".npmrc": "a file that may hold a token",
    ".pgpass": "a file of passwords",
    ".pypirc": "a file of passwords",
    ".s3cfg": "a file with a secret key",
    "id_dsa": "a private key",
    "id_ecdsa": "a private key",
    "id_ed25519": "a private key",
    "id_rsa": "a private key",
    "terraform.tfstate": "a state with whatever was made, passwords among it",
    "wp-config.php": "a file of settings with passwords",
}
_ENDINGS = {
    ".jks": "a store of keys",
    ".kdbx": "a store of passwords",
    ".keystore": "a store of keys",
    ".p12": "a store of keys",
    ".pfx": "a store of keys",
    ".ppk": "a private key",
}
_FOLDERS = {".aws", ".gnupg", ".kube", ".ssh"}
# Settings for this or that machine, but not what shows which there are.
_SETTINGS = re.compile(r"\.env\.(?!(?:example|sample|template|dist|defaults?)$)[A-Za-z0-9_.-]+")
# With a body: documentation shows the frame of a key alone. In JSON a line ends with a backslash and an n.
_KEY = rb"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY(?: BLOCK)?-----(?:\s|\\[rn])+(?:[A-Za-z-]+: [^\n]*\s+)*[A-Za-z0-9+/=]{40,}"
# Each with words of which one is in it, which are looked for first: that takes a hundredth of the time.
_FORMS = (
    ((b"PRIVATE KEY-----", b"PRIVATE KEY BLOCK-----"), _KEY, "a private key"),
    ((b"AKIA", b"ASIA"), rb"\b(?:AKIA|ASIA)(?![0-9A-Z]{9}EXAMPLE)[0-9A-Z]{16}\b", "an access key of AWS"),
    ((b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_"), rb"\bgh[pousr]_[A-Za-z0-9]{36}\b", "a token of GitHub"),
    ((b"github_pat_",), rb"\bgithub_pat_[A-Za-z0-9_]{60,}\b", "a token of GitHub"),
    ((b"glpat-",), rb"\bglpat-[A-Za-z0-9_-]{20}\b", "a token of GitLab"),
    ((b"xox",), rb"\bxox[abprs]-[0-9]{8,}-[A-Za-z0-9-]{16,}", "a token of Slack"),
    ((b"hooks.slack.com",), rb"\bhooks\.slack\.com/services/T[A-Z0-9]{8,}/B[A-Z0-9]{8,}/[A-Za-z0-9]{24}\b",
     "an address that posts to Slack"),
    ((b"k_live_",), rb"\b[sr]k_live_[0-9A-Za-z]{24,}\b", "a secret key of Stripe"),
    ((b"sk-ant-",), rb"\bsk-ant-[a-z]+[0-9]{2}-[A-Za-z0-9_-]{80,}", "a key of Anthropic"),
    ((b"T3BlbkFJ",), rb"\bsk-[A-Za-z0-9_-]{20,}T3BlbkFJ[A-Za-z0-9_-]{20,}", "a key of OpenAI"),
    ((b"npm_",), rb"\bnpm_[A-Za-z0-9]{36}\b", "a token of npm"),
    ((b"pypi-AgEI",), rb"\bpypi-AgEI[A-Za-z0-9_-]{50,}", "a token of PyPI"),
    ((b"SG.",), rb"\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}\b", "a key of SendGrid"),
    ((b"GOCSPX-",), rb"\bGOCSPX-[A-Za-z0-9_-]{28}\b", "a client secret of Google"),
    ((b"dop_v1_",), rb"\bdop_v1_[0-9a-f]{64}\b", "a token of DigitalOcean"),
    ((b"sy_",), rb"\bsy_[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])", "a key of Switchyard"),
    ((b"hvs.",), rb"\bhvs\.[A-Za-z0-9_-]{90,}", "a token of Vault"),
)  # fmt: skip
_SECRETS = tuple((words, re.compile(pattern), what) for words, pattern, what in _FORMS)


def secrets_of(path: str, file: SiteFile, memo: Memo) -> Iterator[str]:
    """Yield why a file should not be published, a sentence each.

    Args:
        memo: what was found in contents before.
    """
    if (why := _by_name(PurePosixPath(path))) is not None:
        yield f"The name is that of {why}."
    found = memo.made("secrets", file.key, lambda: json.dumps(list(_secrets_in(file.read()[:_SCANNED_BYTES]))).encode())
    for line, what in json.loads(found):
        yield f"Line {line} has {what}."


def _by_name(path: PurePosixPath) -> str | None:
    if _FOLDERS.intersection(path.parts[:-1]):
        return "a file of keys or of passwords"
    if _SETTINGS.fullmatch(path.name):
        return "a file of settings with passwords"
    return _NAMES.get(path.name) or _ENDINGS.get(path.suffix.lower())


def _secrets_in(head: bytes) -> Iterator[tuple[int, str]]:
    for words, pattern, what in _SECRETS:
        if any(word in head for word in words) and (match := pattern.search(head)):
            yield head.count(b"\n", 0, match.start()) + 1, what
