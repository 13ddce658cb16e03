"""`controller engine-proxy`: a socket that lets through only the calls of the engine that a controller needs."""

import contextlib
import os
import socket
import stat
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import click

from controller import docker_payloads, engine_proxy, errors, output, own_container
from controller.commands import options as shared
from core import own_container as containers


@click.command(short_help="Let only the calls through that a controller needs of an engine.")
@click.option("--listen", type=shared.PATH, required=True, metavar="SOCKET", help="Where the controller asks.")
@click.option("--engine", type=shared.PATH, required=True, metavar="SOCKET", help="The engine's own socket.")
@click.option("--mount", "mounts", multiple=True, metavar="NAME", help="A folder or volume a provisioner may mount.")
@click.option("--mounts-below", metavar="DIR", help="In a container: what is mounted below DIR, it may mount as well.")
@click.pass_obj
def command(interruption: Any, /, **options: Any) -> int:
    """Serve until a signal ends it. docs/engine-calls.md lists the calls; whatever else is asked is answered with
    403."""
    del interruption
    listen, engine = options["listen"], options["engine"]
    if os.path.realpath(listen) == os.path.realpath(engine):
        raise click.UsageError("--listen and --engine are one socket: the proxy needs one of its own")
    with _listening(listen) as listening, contextlib.suppress(errors.Interrupted):
        engine_proxy.EngineProxy(
            listening,
            str(engine),
            lambda proxy: _mounts(proxy, options["mounts"], options["mounts_below"]),
            lambda text: output.Printer().diagnostics((f"refused: {text}",)),
        ).serve()
    return errors.OK


@contextlib.contextmanager
def _listening(path: Path) -> Iterator[socket.socket]:
    """A socket that only this user can use. One that an earlier proxy left is replaced, and nothing else that may be
    there: a typing error must not take an engine's socket away."""
    with socket.socket(socket.AF_UNIX) as listening:
        before = os.umask(0o177)
        try:
            if os.path.lexists(path) and not _is_left_over(path):
                raise errors.ControllerError("ListenFailed", f"{path}: it is no socket that a proxy left behind")
            path.unlink(missing_ok=True)
            listening.bind(str(path))
            listening.listen(128)
        except OSError as error:
            text = f"{path}: no socket can be made there: {error.strerror}"
            raise errors.ControllerError("Unwritable", text) from None
        finally:
            os.umask(before)
        yield listening


def _is_left_over(path: Path) -> bool:
    """Whether a socket is there at which nobody listens any more."""
    if not stat.S_ISSOCK(path.lstat().st_mode):
        return False
    with socket.socket(socket.AF_UNIX) as asked:
        try:
            asked.connect(str(path))
        except ConnectionRefusedError:
            return True
    return False


def _mounts(proxy: engine_proxy.EngineProxy, named: Collection[str], below: str | None) -> Collection[str]:
    """What was named, and what this container has below that folder, by the engine's names for it."""
    here = own_container.traces() if below else containers.NOWHERE
    shown = (docker_payloads.container(proxy.asked(f"/containers/{one}/json")) for one in here.ids)
    own = own_container.among((one for one in shown if one is not None), here)
    found = (one for one in (own.mounts if own else ()) if containers.below(one.target, below or "/"))
    return {*named, *(name for one in found for name in containers.Place(one, "").names)}
