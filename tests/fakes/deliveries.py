"""Webhook deliveries as forges send them: headers and a signature over the body."""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping

SECRET = "correct horse battery staple"
STANDARD_SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
BODY = b'{"ref": "refs/heads/main", "n": 1.0, "s": "\xc3\xa9"}'

Headers = dict[str, str]


def digest(body: bytes, secret: str = SECRET, kind: str = "sha256") -> str:
    """The HMAC in hex."""
    return hmac.new(secret.encode(), body, kind).hexdigest()


def github(body: bytes, secret: str = SECRET, event: str = "push") -> Headers:
    """As GitHub sends it: the old signature too."""
    return {
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        "X-Hub-Signature": f"sha1={digest(body, secret, 'sha1')}",
        "X-Hub-Signature-256": f"sha256={digest(body, secret)}",
    }


def gitea(body: bytes, secret: str = SECRET, event: str = "push") -> Headers:
    """As Gitea sends it: also everything that GitHub and Gogs would."""
    return {
        "X-Gitea-Event": event,
        "X-Gogs-Event": event,
        "X-Gogs-Signature": digest(body, secret),
        "X-Gitea-Signature": digest(body, secret),
        **github(body, secret, event),
    }


def forgejo(body: bytes, secret: str = SECRET, event: str = "push") -> Headers:
    """As Forgejo sends it."""
    return {
        "X-Forgejo-Event": event,
        "X-Forgejo-Signature": digest(body, secret),
        **gitea(body, secret, event),
    }


def bitbucket(body: bytes, secret: str = SECRET, event: str = "repo:push") -> Headers:
    """As Bitbucket sends it."""
    return {"X-Event-Key": event, "X-Hub-Signature": f"sha256={digest(body, secret)}"}


def gitlab(body: bytes, secret: str = SECRET, event: str = "Push Hook") -> Headers:
    """As GitLab sends it with a secret token."""
    del body
    return {"X-Gitlab-Event": event, "X-Gitlab-Token": secret}


def generic(body: bytes, secret: str = SECRET) -> Headers:
    """As a script sends it."""
    return {"X-Signature-256": f"sha256={digest(body, secret)}"}


def standard(body: bytes, *, now_s: float, secret: str = STANDARD_SECRET, event: str = "Push Hook") -> Headers:
    """As GitLab sends it with a signing token."""
    signed = f"msg-1.{int(now_s)}.".encode() + body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    told = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return {
        "X-Gitlab-Event": event,
        "webhook-id": "msg-1",
        "webhook-timestamp": str(int(now_s)),
        "webhook-signature": f"v1,{told}",
    }


FORGES: Mapping[str, Callable[[bytes], Headers]] = {
    "github": github,
    "gitea": gitea,
    "forgejo": forgejo,
    "bitbucket": bitbucket,
    "gitlab": gitlab,
    "generic": generic,
}


def raw(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Headers as a server hands them on."""
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]
