"""Checks of `controller doctor` about this host: programs, the address to listen at, secrets of our own, who is told.

Asks programs for their versions and binds the address for a moment; sends nothing to anybody.
"""

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from controller import check, compose_stack, errors, notify, settings, settings_sections, settings_sources
from controller.http import server, sockets
from core import git_refs

_PATIENCE_S = 5.0
_LONGEST_TOLD = 80
_VERSION = {"git": ("--version",), "ssh": ("-V",), "gpg": ("--version",)}
"""How a program is asked; ssh-keygen knows no such question."""


def programs(configured: settings.Settings) -> Iterator[check.Check]:
    """Those that the source needs: git, and what its transport and its signatures need. Docker has checks of its
    own."""
    wanted = tuple(dict.fromkeys(one for repository in configured.source.gits for one in _wanted(repository)))
    if not wanted:
        yield check.Check("tools", check.OK, "none is needed: the source is a folder")
    for name, purpose in wanted:
        place = shutil.which(name)
        if place is None:
            yield check.Check(name, check.FAIL, f"not on PATH, and needed for {purpose}", f"install {_PACKAGES[name]}")
        else:
            yield check.Check(name, check.OK, _told(name, place))


_PACKAGES = {"git": "git", "ssh": "openssh-client", "ssh-keygen": "openssh-client", "gpg": "gnupg"}
"""As Debian calls them."""


def _wanted(repository: settings_sources.GitSource) -> Iterator[tuple[str, str]]:
    yield "git", "a git source"
    if git_refs.scheme(repository.url) == "ssh":
        yield "ssh", "an ssh address"
    if repository.verify.policy is not settings_sources.Verification.NONE:
        if repository.verify.allowed_signers_file:
            yield "ssh-keygen", "source.git.verify.allowed_signers_file"
        if repository.verify.keyring_file:
            yield "gpg", "source.git.verify.keyring_file"


def _told(name: str, place: str) -> str:
    """The first line that it says of itself; where it is, when it says nothing."""
    words = _VERSION.get(name)
    if words is None:
        return place
    try:
        ended = subprocess.run(  # noqa: S603 - the program is the one of PATH that a pass runs, the words are ours
            [place, *words], capture_output=True, check=False, timeout=_PATIENCE_S, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return place
    lines = (ended.stdout + ended.stderr).decode(errors="replace").splitlines()
    return (lines[0] if lines else place)[:_LONGEST_TOLD]


def surroundings(configured: settings.Settings) -> Iterator[check.Check]:
    """What a controller that stays needs besides, as far as the settings ask for it; and where it runs."""
    if configured.http.listen is not None:
        yield from check.guarded("http", lambda: _address(configured.http.listen or ""))
        yield from check.guarded("webhook", lambda: _webhook(configured.http))
    yield from check.guarded("notify", lambda: _notices(configured.notify))
    served = compose_stack.ComposeStack(configured, configured.config_dir or Path()).configured
    if served and compose_stack.in_container():
        yield from _mounts(configured)


def _address(listen: str) -> Iterator[check.Check]:
    try:
        sockets.listening(listen).close()
    except errors.ControllerError as error:
        if not error.message.endswith(os.strerror(errno.EADDRINUSE)):
            raise
        hint = f"fine if the controller that runs already listens there; else {error.meaning.hint}"
        yield check.Check("http", check.WARN, error.message, hint)
        return
    yield check.Check("http", check.OK, f"{listen} is free")


def _webhook(configured: settings_sections.Http) -> Iterator[check.Check]:
    """Raises what a start would. The secret itself is never told."""
    if server.secret_of(configured) is None:
        yield check.Check("webhook", check.OK, "no receiver: there is no http.webhook_secret")
        return
    yield check.Check("webhook", check.OK, "the secret is long enough")
    yield from private("webhook", configured.webhook_secret_file)


def _notices(configured: settings_sections.Notify) -> Iterator[check.Check]:
    """The address is secret in many services, so it is not told; asking it would be a message."""
    if notify.destination(configured) is not None:
        yield check.Check("notify", check.OK, f"told of {', '.join(configured.on)}; the address was not asked")
        yield from private("notify", configured.url_file)


def private(name: str, file: Path | None) -> Iterator[check.Check]:
    """A secret in a file that every user of this host can read is a secret no more."""
    if file is not None and file.exists() and file.stat().st_mode & 0o004:
        yield check.Check(name, check.WARN, f"every user of this host can read {file}", f"chmod 640 {file}, or 600")


def _mounts(configured: settings.Settings) -> Iterator[check.Check]:
    """In a container, what is not on a mount is seen by no stack, and ends with the container (faults.md H12)."""
    own = Path("/").stat().st_dev
    for key, folder in (("config_dir", configured.config_dir), ("state_dir", configured.state_dir)):
        if folder is None:
            continue
        there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
        if there.stat().st_dev == own:
            detail = f"{key} {folder} is in this container's own file system: it ends with the container"
            yield check.Check("container", check.WARN, detail, f"mount a volume or a folder of the host at {folder}")
        else:
            yield check.Check("container", check.OK, f"{key} {folder} is on a mount")
