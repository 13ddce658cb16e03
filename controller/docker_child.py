"""How the docker command runs as a child: its deadline, its input, and how much of its output is kept.

Owns the words that stand before ``docker`` in every call of `controller.docker` (a command prefix for
python-on-whales, which knows neither deadlines nor bounds), and the end of all children when a signal ends a pass. Runs
nothing itself and never looks at what docker says.

One call is one process group without a terminal (faults.md H7, P8): ``setsid`` takes the terminal away, so that neither
ssh nor a credential program can ask anything; ``timeout`` ends the whole group at the deadline; the shell gives
/dev/null as input, keeps the end of the output (or its beginning, where it is to be parsed) and ends last: whoever
holds on to the output or has survived SIGTERM when docker is gone ends with it. A group does not outlive the process
that asked, however that one dies (`controller.lifeline`).
"""

import os
import signal
from collections.abc import Collection, Mapping
from pathlib import Path

from controller import lifeline

KILL_AFTER_S = 5
"""What has not ended by then after SIGTERM is killed."""

LONGEST_ANSWER = 16 * 1024 * 1024
"""Bytes of an answer that is parsed; a longer one is cut and thus refused."""

LONGEST_LOG = 256 * 1024
"""Bytes at the end of a log that are kept."""

LONGEST_COMPLAINT = 16 * 1024
_SHORTEST_S = 0.05  # to timeout, 0 would mean "no deadline"
_OWNED = "controller of "

# The exit code takes its own way (5), because a pipeline ends with that of its filter. The filters ignore SIGTERM, so
# that what was said before the deadline is not lost; a trap that runs `:` lets the shells wait for them, and is not
# passed on to docker as an ignored signal would be. Complaints are made ASCII: python-on-whales fails on other bytes.
_SCRIPT = """
exec 3>&1 4>&2 </dev/null
code=$(
  trap : TERM
  exec 5>&1
  {
    trap : TERM
    { trap : TERM; "$@" @MERGE@ 3>&- 4>&- 5>&- 6>&-; echo $? >&5; } 2>&6 | (trap '' TERM; exec @KEEP@ >&3)
  } 6>&1 | (trap '' TERM; tail -c @COMPLAINT@ | LC_ALL=C tr -c '\\011\\012\\040-\\176' '?' >&4)
)
""".replace("@COMPLAINT@", str(LONGEST_COMPLAINT))

_ANSWER = _SCRIPT.replace("@MERGE@", "").replace("@KEEP@", f"head -c {LONGEST_ANSWER}")
_LOG = _SCRIPT.replace("@MERGE@", "2>&1").replace("@KEEP@", f"tail -c {LONGEST_LOG}")

PROGRAMS = ("setsid", "timeout", "sh", "env", "head", "tail", "tr")
"""What a call needs besides docker: parts of every Linux system."""


def prefix(seconds: float, *, log: bool, environment: Mapping[str, str] | None = None, owner: str = "") -> list[str]:
    """The words before docker's own arguments, ``docker`` included.

    `seconds` is the deadline of the call. With `log` the end of all output comes on stdout, otherwise stdout is the
    answer and stderr the end of the complaints. `environment` is visible in the list of processes: no secrets. Our own
    settings are taken out of the environment. `owner` is the target that asks: the shell goes by that name, so that
    the children of one target can be told from those of another.
    """
    without = [word for name in lifeline.withheld() for word in ("-u", name)]
    given = ["env", *without, *(f"{name}={value}" for name, value in (environment or {}).items())]
    deadline = ["timeout", "-k", str(KILL_AFTER_S), f"{max(seconds, _SHORTEST_S):.3f}"]
    script = lifeline.script(_LOG if log else _ANSWER)
    return [*given, "setsid", *deadline, "sh", "-c", script, f"{_OWNED}{owner}" if owner else "sh", "docker"]


def terminate_children(owner: str = "") -> None:
    """SIGTERM to every child of this process, or to those that work for this `owner`: ``timeout`` passes it on to its
    group. For the end of a pass by a signal (faults.md P8), and of one of several targets (faults.md C2); a call that
    is under way in another thread then fails. A child that has just been begun shows no owner yet: who wants an end
    asks again until it comes. Does nothing without /proc."""
    for child in children():
        if owner and _owner(child) != owner:
            continue
        try:
            os.kill(child, signal.SIGTERM)
        except ProcessLookupError:
            continue


def _owner(child: int) -> str:
    """For whom a child works; "" when nobody is named. The first word that names one is ours: docker's own follow."""
    try:
        words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    named = next((word for word in words if word.startswith(_OWNED.encode())), b"")
    return named.decode(errors="replace").removeprefix(_OWNED)


def children() -> Collection[int]:
    """The direct children of this process, zombies included. A signal to one of those reaches nobody."""
    parent, found = os.getpid(), []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            # pid (name) state parent ...; a name may contain anything, ")" too
            fields = entry.read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(entry.parent.name))
    return found
