"""What every program that we run begins and ends with: its group's watch over us, and an environment without our
settings (faults.md P8, P13).

Owns the lifeline, a pipe that only this process can close, and the parts of a shell script that watch it, for the
calls of docker and of git alike. A group of processes does not outlive the process that asked for it, however that one
dies. Runs nothing itself.
"""

import functools
import os
from collections.abc import Mapping

from controller import settings_environment

# The watch reads a pipe that nobody writes to, so it costs nothing, and ends when nobody is left who could write. It
# kills at once: on SIGTERM compose would stop the provisioner's container, which the next run is to find (faults.md
# H1). It ignores SIGTERM and ends only with us, so that its number cannot be somebody else's when it is killed. Without
# a lifeline that can be opened there is no watch, and no call either when nobody is left who asked. No descriptor is
# moved for good, because the program may be given some by number, and none but 7 around the watch, where a shell would
# put the output aside and the watch hold on to it.
_BEGIN = """
watch= ended=
[ ! -r @LIFELINE@ ] || {
  (trap '' TERM; read -r never <&7; kill -KILL 0) >/dev/null 2>/dev/null & watch=$!
} 7<@LIFELINE@
[ -n "$watch" ] || kill -0 @ASKING@ 2>/dev/null || exit 1
trap ended=1 TERM
"""
_END = """
[ -z "$watch" ] || { kill -KILL "$watch"; wait "$watch"; } 2>/dev/null
[ -z "$ended" ] || kill -KILL 0
exit "${code:-1}"
"""


def script(body: str) -> str:
    """A script for ``sh -c`` in a process group of its own: `body`, which leaves an exit code in ``$code``, under the
    watch. After SIGTERM it ends last, and the whole group with it."""
    begin = _BEGIN.replace("@ASKING@", str(os.getpid())).replace("@LIFELINE@", path())
    return begin + body + _END


def path() -> str:
    """Where a child can open the pipe that ends when this process does, by whatever signal (faults.md P8). One for all
    calls and threads; no child inherits an end of it. A path that nobody can open when no pipe can be had."""
    try:
        return f"/proc/{os.getpid()}/fd/{_pipe()[0]}"
    except OSError:
        return "/proc/none"


@functools.cache
def _pipe() -> tuple[int, int]:
    """Read end and write end; neither is used or closed here. Two threads at once may make two, which is as good."""
    return os.pipe()


def withheld() -> tuple[str, ...]:
    """The variables that no child gets, however they are spelt: our settings, which may be secret and which a compose
    file could name (faults.md P13)."""
    return tuple(sorted(name for name in os.environ if name.upper().startswith(settings_environment.ENV_PREFIX)))


def sparse(**more: str) -> Mapping[str, str]:
    """All that a program needs that asks for nothing: where programs are, messages as they are written, and `more`."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", **more}
