"""A real sshd for one user, on a port and with keys of its own, which lets git in and nothing else.

The host's configuration, keys and log are not touched. Stopped by its own process id.
"""

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.fakes import daemons, ports, tools

_SEPARATION = Path("/run/sshd")
"""Root's sshd does not start without this empty folder, whose name is compiled in."""

_SETTINGS = """\
ListenAddress 127.0.0.1:{port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized
AllowUsers {user}
PidFile none
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
LogLevel VERBOSE
"""


@dataclass(frozen=True, slots=True)
class SshServer:
    """Where it listens. `key` is the private key of its only client."""

    folder: Path
    port: int
    user: str

    @property
    def key(self) -> Path:
        """Whoever has it may come in."""
        return self.folder / "client"

    def url(self, repository: Path) -> str:
        """The address of a repository on this machine."""
        return f"ssh://{self.user}@127.0.0.1:{self.port}{repository}"

    def known_hosts(self, at: Path, *, of: str = "host") -> Path:
        """A file that knows this server by its key, or by another one that it has not."""
        words = (self.folder / f"{of}.pub").read_text(encoding="ascii").split()
        at.write_text(f"[127.0.0.1]:{self.port} {words[0]} {words[1]}\n", encoding="ascii")
        return at

    def said(self) -> str:
        """Its log."""
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[SshServer]:
    """A server that answers; a machine without sshd skips, or in CI fails."""
    program = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/sbin")
    if program is None:
        tools.absent("needs sshd")
    folder.mkdir()
    for name in ("host", "other", "client"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)]
        subprocess.run(command, check=True)
    shutil.copy(folder / "client.pub", folder / "authorized")
    server = SshServer(folder, ports.free()[0], getpass.getuser())
    settings = folder / "sshd_config"
    settings.write_text(_SETTINGS.format(port=server.port, folder=folder, user=server.user), encoding="utf-8")
    if os.geteuid() == 0:
        _SEPARATION.mkdir(mode=0o755, exist_ok=True)
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen([program, "-D", "-e", "-f", str(settings)], stderr=log, start_new_session=True)
        try:
            daemons.until(lambda: _answers(server.port))
            yield server
        finally:
            os.killpg(running.pid, signal.SIGTERM)
            running.wait()


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        return connection.recv(4) == b"SSH-"
    return False
