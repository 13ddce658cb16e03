"""Whether a commit or a tag is signed by somebody who is trusted. No cryptography of our own: git, ssh-keygen and gpg
decide, with the keys of the settings and no others.

An unknown key's signature is as good as none, and so is one of a key that is expired or revoked now, whatever date the
commit shows.
"""

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from controller import errors, lifeline, output, scratch, settings_sources
from controller.sources import git_command, git_ssh_signatures
from core import git_refs

_IMPORT_S = 30.0

_Policy = settings_sources.Verification


def require(
    git: git_command.Git, repository: Path, wanted: git_refs.Remote, verify: settings_sources.GitVerify
) -> None:
    """Raise `ControllerError("SourceUntrusted")` unless what the settings want signed is."""
    if verify.policy is _Policy.NONE:
        return
    if verify.policy is _Policy.TAG and wanted.object_id == wanted.commit:
        raise _untrusted(wanted, "source.git.ref names no annotated tag, which alone can be signed")
    tag = verify.policy is _Policy.TAG
    signed = _by_ssh(git, repository, wanted, tag=tag)
    if signed is None:
        _require_openpgp(git, repository, wanted, verify)
    elif why := git_ssh_signatures.complaint(signed, verify.allowed_signers_file or Path(os.devnull), git.home):
        raise _untrusted(wanted, f"its signature is not trusted ({why})")
    if tag:
        _require_name(git, repository, wanted)


def _by_ssh(
    git: git_command.Git, repository: Path, wanted: git_refs.Remote, *, tag: bool
) -> git_ssh_signatures.Signed | None:
    words = ("tag", wanted.object_id) if tag else ("commit", wanted.commit)
    content = git.answer("cat-file", *words, repository=repository)
    return git_ssh_signatures.of_tag(content) if tag else git_ssh_signatures.of_commit(content)


def _require_openpgp(
    git: git_command.Git, repository: Path, wanted: git_refs.Remote, verify: settings_sources.GitVerify
) -> None:
    """Every other signature, or none. What git takes for one of ssh is not trusted here."""
    tag = verify.policy is _Policy.TAG
    words = ("verify-tag", "--raw", wanted.object_id) if tag else ("verify-commit", "--raw", wanted.commit)
    options = {
        "gpg.mintrustlevel": "fully",
        "gpg.ssh.allowedsignersfile": os.devnull,
    }
    with _keyring(git.home, verify.keyring_file) as environment:
        try:
            git.answer(*words, repository=repository, options=options, environment=environment)
        except git_command.GitFailed as failed:
            if failed.late:
                raise
            raise _untrusted(wanted, _words(failed)) from None


def _require_name(git: git_command.Git, repository: Path, wanted: git_refs.Remote) -> None:
    """The name is signed with the tag: whoever may push, but has no key, must not show a signed tag under another name,
    such as an old or a nightly one under that of the newest version. A tag that is configured by its id has no other
    name."""
    if not wanted.name.startswith("refs/tags/"):
        return
    content = git.answer("cat-file", "tag", wanted.object_id, repository=repository)
    head = content.partition(b"\n\n")[0].decode("utf-8", "replace").splitlines()
    signed = next((line.removeprefix("tag ") for line in head if line.startswith("tag ")), "")
    if signed != wanted.name.removeprefix("refs/tags/"):
        raise _untrusted(wanted, f"what is signed is the tag {output.clean(signed)}, shown here under another name")


@contextlib.contextmanager
def _keyring(folder: Path, file: Path | None) -> Iterator[Mapping[str, str]]:
    """What git's gpg is told. The keyring is made anew each time, in a place with a short path: gpg names a socket
    there. What a killed look left is removed by the next one."""
    if file is None:
        yield {"GNUPGHOME": os.devnull}
        return
    place = scratch.scratch_of(folder)
    scratch.clear(place)
    with scratch.room(place) as room:
        _import(room, file)
        yield {"GNUPGHOME": str(room)}


def _import(folder: Path, keyring: Path) -> None:
    """A keyring that holds these keys and no others; whoever is in it is trusted."""
    (folder / "gpg.conf").write_text("trust-model always\nno-auto-check-trustdb\nno-autostart\n", encoding="ascii")
    words = ["gpg", "--homedir", str(folder), "--batch", "--quiet", "--import", "--", str(keyring.absolute())]
    alone = lifeline.sparse(HOME=str(folder), TMPDIR=str(folder))
    try:
        subprocess.run(  # noqa: S603 - the words are ours, the path is behind "--"
            words, env=alone, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=_IMPORT_S
        )
    except FileNotFoundError:
        raise errors.ControllerError(
            "SettingsInvalid", "source.git.verify.keyring_file: there is no gpg here"
        ) from None
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        text = f"source.git.verify.keyring_file: {keyring} holds no public keys that gpg can read"
        raise errors.ControllerError("SettingsInvalid", text) from None


def _untrusted(wanted: git_refs.Remote, why: str) -> errors.ControllerError:
    return errors.ControllerError("SourceUntrusted", f"commit {wanted.commit} ({wanted.name}): {why}")


def _words(failed: git_command.GitFailed) -> str:
    """Nothing at all is said by git of a commit without a signature."""
    return f"its signature is not trusted ({failed.said})" if failed.said else "it is not signed"


def problem(verify: settings_sources.GitVerify) -> str:
    """What is wrong with the settings, "" for nothing."""
    if verify.policy is not _Policy.NONE and not (verify.allowed_signers_file or verify.keyring_file):
        return "source.git.verify: name allowed_signers_file or keyring_file, or nothing could ever be trusted"
    for file in (verify.allowed_signers_file, verify.keyring_file):
        if file is not None and not file.is_file():
            return f"source.git.verify: {file}: no such file"
    return ""
