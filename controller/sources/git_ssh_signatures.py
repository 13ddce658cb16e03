"""Signatures made with ssh keys, verified by ssh-keygen as of now.

Part of `controller.sources.git_signatures`. Git would ask whether the key was valid at the date in the commit, which
whoever signs can choose: with a key that has expired, or was stolen later, one could sign for ever. Owns how a
signature is told from what it signs. No cryptography of our own.
"""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from controller import lifeline, scratch

_VERIFY_S = 30.0
_BEGIN = b"-----BEGIN SSH SIGNATURE-----"
_HEADER = re.compile(rb"^gpgsig(?:-sha256)? (.*\n(?: .*\n)*)", re.MULTILINE)
_NAMESPACE = "git"


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature and what it covers."""

    signature: bytes
    payload: bytes


def of_commit(content: bytes) -> Signed | None:
    """The ssh signature of a commit, None when there is none, or not exactly one."""
    head, gap, body = content.partition(b"\n\n")
    head += b"\n"
    found = list(_HEADER.finditer(head))
    if len(found) != 1:
        return None
    signature = found[0][1].replace(b"\n ", b"\n")
    if not signature.startswith(_BEGIN):
        return None
    return Signed(signature, head[: found[0].start()] + head[found[0].end() :] + gap[1:] + body)


def of_tag(content: bytes) -> Signed | None:
    """The ssh signature of a tag, which stands at its end; None when there is none."""
    at = content.rfind(b"\n" + _BEGIN) + 1
    return Signed(content[at:], content[:at]) if at else None


def complaint(signed: Signed, signers: Path, folder: Path) -> str:
    """Why this is not the signature of a key that is trusted now, "" when it is one. `folder` is ours; the signature is
    written to a place of its own, which is removed."""
    place = scratch.scratch_of(folder)
    scratch.clear(place)
    with scratch.room(place) as room:
        file = room / "signature"
        file.write_bytes(signed.signature)
        return _complaint(signed.payload, file, signers.absolute())


def _complaint(payload: bytes, signature: Path, signers: Path) -> str:
    given = ("-f", str(signers), "-s", str(signature))
    try:
        found = _run("find-principals", *given, payload=b"")
        for name in found.stdout.decode("utf-8", "replace").splitlines():
            if name and _run("verify", "-n", _NAMESPACE, "-I", name, *given, payload=payload).returncode == 0:
                return ""
    except FileNotFoundError:
        return "there is no ssh-keygen here"
    except subprocess.TimeoutExpired:
        return f"ssh-keygen did not end within {_VERIFY_S:g} s"
    return "no key in allowed_signers_file that is valid now has made it"


def _run(verb: str, *words: str, payload: bytes) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(  # noqa: S603 - the words are ours; the name is one of the settings' own file
        ["ssh-keygen", "-Y", verb, *words],  # noqa: S607 - found as git finds it
        env=lifeline.sparse(),
        input=payload,
        capture_output=True,
        check=False,
        timeout=_VERIFY_S,
    )
