"""Whether a webhook delivery is genuine, and whether it says that something was pushed. Pure.

Stands behind the webhook receiver. Owns which header of which forge proves what (faults.md I1). The body goes through
the signature piece by piece and is neither kept nor read: a delivery says "look now" and nothing else (faults.md P14),
so that one which is delivered again, or ten days late, leads to at most one look more.
"""

import base64
import binascii
import hmac
from collections.abc import Iterable
from enum import StrEnum

SHORTEST_SECRET = 16
"""Bytes. What is shorter can be tried out."""

TOLERANCE_S = 300
"""How far the time of a delivery that carries a signed one may be from ours, in seconds (Standard Webhooks)."""

Headers = Iterable[tuple[bytes, bytes]]
"""Names in lower case, and values, as they came."""


class Verdict(StrEnum):
    """What a delivery amounts to."""

    LOOK = "accepted"
    """Genuine, and something was pushed, or the sender says nothing of what it was."""
    PING = "ping"
    """Genuine: the forge tries out its setting."""
    OTHER = "ignored"
    """Genuine, and not about a push."""
    UNSIGNED = "unsigned"
    """Without any signature that is known here."""
    REFUSED = "refused"
    """With a signature that is wrong, or with one twice."""


_SHA256 = b"sha256="
_PREFIXED = frozenset({b"x-hub-signature-256", b"x-hub-signature", b"x-signature-256"})
"""``sha256=HEX``: GitHub, Gitea and Forgejo; Bitbucket; everybody else."""
_BARE = frozenset({b"x-gitea-signature", b"x-forgejo-signature"})
"""``HEX``."""
_TOKEN = b"x-gitlab-token"
"""The secret itself."""
_STANDARD = b"webhook-signature"
"""``v1,BASE64`` over id, time and body: GitLab's signing token."""
_STANDARD_ID, _STANDARD_TIME = b"webhook-id", b"webhook-timestamp"
_STANDARD_SECRET = b"whsec_"
_KNOWN = _PREFIXED | _BARE | {_TOKEN, _STANDARD}

_EVENTS = frozenset({b"x-github-event", b"x-gitea-event", b"x-forgejo-event", b"x-gitlab-event", b"x-event-key"})
_PUSHES = frozenset(
    {
        b"push",
        b"push hook",
        b"tag push hook",
        b"system hook",  # GitLab's hooks of a whole instance do not say more in a header
        b"repo:push",
        b"repo:refs_changed",
        b"mirror:repo_synchronized",
    }
)
_PINGS = frozenset({b"ping", b"diagnostics:ping"})


def is_strong(secret: bytes) -> bool:
    """Whether a secret is long enough, also for what it stands for when it is written as ``whsec_BASE64``."""
    return min(len(secret), len(_standard_key(secret))) >= SHORTEST_SECRET


class Delivery:
    """One delivery: made of its headers, fed with its raw body, then asked. `now_s` is seconds since the epoch.

    Every signature that is there must hold: a good one does not make up for a wrong one.
    """

    def __init__(self, headers: Headers, secret: bytes, *, now_s: float) -> None:
        if not is_strong(secret):
            raise ValueError("the secret is too short")
        known = [(name, value.strip()) for name, value in headers]
        self._proofs = [(name, value) for name, value in known if _proves(name, value)]
        self._events = [value.lower() for name, value in known if name in _EVENTS]
        self._secret = secret
        self._of_body = hmac.new(secret, digestmod="sha256")
        self._standard = _standard(known, secret, now_s)

    def take(self, piece: bytes) -> None:
        """The next bytes of the body, exactly as they came."""
        if self._proofs:
            self._of_body.update(piece)
            if self._standard is not None:
                self._standard.update(piece)

    def verdict(self) -> Verdict:
        """What it amounts to, once the whole body was taken."""
        if not self._proofs:
            return Verdict.UNSIGNED
        # A list, not a generator: which of them is wrong does not show in the time that it takes.
        holding = [self._holds(name, value) for name, value in self._proofs]
        if len({name for name, _ in self._proofs}) != len(self._proofs) or not all(holding):
            return Verdict.REFUSED
        if not self._events or any(event in _PUSHES for event in self._events):
            return Verdict.LOOK
        return Verdict.PING if any(event in _PINGS for event in self._events) else Verdict.OTHER

    def _holds(self, name: bytes, value: bytes) -> bool:
        if name == _TOKEN:
            return hmac.compare_digest(value, self._secret)
        if name == _STANDARD:
            return self._standard is not None and _any_equal(value, self._standard)
        # Lower case only: every forge writes it so, and one way to write a signature is enough.
        wanted = self._of_body.hexdigest().encode()
        return hmac.compare_digest(value, _SHA256 + wanted if name in _PREFIXED else wanted)


def _proves(name: bytes, value: bytes) -> bool:
    """GitHub and Gitea send an old SHA-1 signature beside the one that counts; it is as if it were not there."""
    return name in _KNOWN and not (name == b"x-hub-signature" and value.startswith(b"sha1="))


def _standard(headers: list[tuple[bytes, bytes]], secret: bytes, now_s: float) -> hmac.HMAC | None:
    """The signature that a Standard Webhooks delivery should have, before its body; None when it cannot be right."""
    ids = [value for name, value in headers if name == _STANDARD_ID]
    times = [value for name, value in headers if name == _STANDARD_TIME]
    if len(ids) != 1 or len(times) != 1 or not times[0].isdigit() or len(times[0]) > 12:
        return None
    if abs(int(times[0]) - now_s) > TOLERANCE_S:
        return None
    return hmac.new(_standard_key(secret), ids[0] + b"." + times[0] + b".", "sha256")


def _standard_key(secret: bytes) -> bytes:
    """``whsec_BASE64`` is the key in base64; any other secret is the key."""
    if secret.startswith(_STANDARD_SECRET):
        try:
            return base64.b64decode(secret.removeprefix(_STANDARD_SECRET), validate=True)
        except binascii.Error:
            pass
    return secret


def _any_equal(value: bytes, wanted: hmac.HMAC) -> bool:
    """While a secret is exchanged for another, a delivery carries a signature by each."""
    right = b"v1," + base64.b64encode(wanted.digest())
    equal = [hmac.compare_digest(one, right) for one in value.split()]
    return any(equal)
