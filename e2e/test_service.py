"""The systemd unit's restrictions hold a controller with an engine, too: docker, buildx and compose are its children.

No systemd runs here: strace tells what they ask the kernel for, and `tests.fakes.units` what the unit would refuse.
"""

import secrets
from pathlib import Path

from e2e.harness import commands, converging, marked, matrix, stacks
from tests.fakes import tools, units

LEFT_OUT = ("futex", "nanosleep", "epoll_pwait", "epoll_ctl", "read", "write", "sched_yield", "madvise", "tgkill")
"""Calls of which there are very many."""


def test_l4_what_the_unit_refuses_is_never_asked_for(
    stack: stacks.Stack, environment: matrix.Environment, tmp_path: Path
) -> None:
    """A pass that builds, pushes, publishes and runs the provisioner."""
    tools.require("strace", "systemd-analyze")
    place = tmp_path / "calls"
    traced = ("strace", "-f", "-qq", "--seccomp-bpf", f"--trace=!{','.join(LEFT_OUT)}", f"--output={place}")
    artifact, text = marked.small(environment, tmp_path / "source"), f"traced {secrets.token_hex(8)}"
    artifact.code("hello", f"echo {text}")  # nobody has built that before
    target = converging.Target(stack, commands.Controller(stack, traced), artifact)
    report = target.reconcile()
    assert (report.images, stack.moto.tables()) == ({"hello": "build"}, ("e2e-marked",))
    assert target.answer("/hello", text) == text
    calls = units.calls(place.read_text(encoding="utf-8", errors="replace"))
    programs = {words.partition(",")[0].strip('"').rpartition("/")[2] for name, words in calls if name == "execve"}
    assert programs >= {"docker", "docker-buildx", "docker-compose"}
    assert units.refused(calls) == set()
    assert units.permitted().issuperset(LEFT_OUT)
