"""`controller provision` on a real engine: whatever the service says and however it ends, its exit code is the truth
(faults.md H3), and what it depends on is left alone (H6); without a path that the engine knows nothing is run (H12)."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes import command, engines

pytestmark = [pytest.mark.engine, pytest.mark.process]

NAME = f"faultrun-{os.getpid()}"
IMAGE = f"{NAME}/busybox:1"
QUICK = {"CONTROLLER_STACK__PROVISION_ATTEMPTS": "1"}

FLOOD = "yes aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa | head -c 100000000"
ENDS: dict[str, tuple[str, int, str]] = {
    "0": ("echo made", 0, ""),
    "0, with a warning": ("echo 'WARNING: table orders skipped: failed' >&2", 0, ""),
    "1": ("echo why; exit 1", 1, "why"),
    "125": ("exit 125", 125, ""),
    "126": ("exit 126", 126, ""),
    "127": ("exit 127", 127, ""),
    "137": ("kill -9 $$$$; exit 137", 137, ""),
    "143": ("exit 143", 143, ""),
    "not UTF-8, no newline": (r"printf 'a \377\376 end'; exit 9", 9, "a \ufffd\ufffd end"),
    "closes its output": ("echo before; exec >&- 2>&-; sleep 0.3; exit 9", 9, "before"),
    "100 MB": (f"{FLOOD}; echo; echo the end; exit 9", 9, "the end"),
}


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """An image with a shell; every container of the project is gone afterwards."""
    engines.require()
    with engines.busybox(IMAGE) as name:
        try:
            yield name
        finally:
            left = engines.docker("ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={NAME}")
            if left:
                engines.docker("rm", "--force", *left.split())


def provision(file: Path, *more: str, **environment: str) -> command.Ended:
    """Run the provisioner of this compose file."""
    host = {"DOCKER_HOST": os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")}
    line = ("--project", NAME, "--compose-file", str(file), *more)
    return command.run("provision", *line, environment={**host, **QUICK, **environment})


def compose(folder: Path, text: str) -> Path:
    """A compose file of these services."""
    file = folder / "compose.yml"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize("end", ENDS)
def test_h3_the_exit_code_is_the_truth(image: str, tmp_path: Path, end: str) -> None:
    """Output of any size and kind is bounded, its last lines are kept, and nothing waits for more."""
    script, code, last = ENDS[end]
    file = compose(
        tmp_path,
        f"services: {{provisioner: {{image: '{image}', network_mode: none, logging: {{driver: none}}, "
        f"command: [sh, -c, {_quoted(script)}]}}}}\n",
    )
    ended = provision(file, "-v")
    assert ended.code == (81 if code else 0), ended.text
    assert len(ended.text) < 20_000
    if code:
        assert f"exited with {code}" in ended.err
        assert last in ended.err
    assert containers("provisioner") == ""


def _quoted(script: str) -> str:
    return "'" + script.replace("'", "''") + "'"


NEIGHBOURS = """\
services:
  provisioner:
    image: {image}
    network_mode: none
    command: ["true"]
    depends_on: [changed, stopped, absent]
  changed: &service
    image: {image}
    network_mode: none
    command: [sleep, "600"]
    stop_grace_period: 0s
    environment: [VERSION={version}]
  stopped: *service
  absent: *service
"""


def containers(*services: str) -> str:
    """Id, start and restarts of each container of these services."""
    listed = [
        engines.docker(
            *("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label=com.docker.compose.project={NAME}"),
            *("--filter", f"label=com.docker.compose.service={service}"),
        )
        for service in services
    ]
    shape = "{{.Id}} {{.State.Status}} {{.State.StartedAt}} {{.RestartCount}}"
    ids = " ".join(listed).split()
    return engines.docker("inspect", "--format", shape, *ids) if ids else ""


def test_h6_neither_started_nor_made_again(image: str, tmp_path: Path) -> None:
    """One that runs with another configuration, one that was stopped, one that never was; with `--with-deps`, compose
    would touch each of them."""
    services = ("changed", "stopped", "absent")
    file = compose(tmp_path, NEIGHBOURS.format(image=image, version=1))
    engines.docker("compose", "--file", str(file), "--project-name", NAME, "up", "--detach", "changed", "stopped")
    engines.docker("compose", "--file", str(file), "--project-name", NAME, "stop", "stopped")
    before = containers(*services)
    assert before.count("\n") == 1
    compose(tmp_path, NEIGHBOURS.format(image=image, version=2))
    ended = provision(file)
    assert ended.code == 0, ended.text
    assert containers(*services) == before
    assert provision(file, "--with-deps").code == 0
    assert containers(*services).count("running") == 3, "the counter-check"


def test_h12_a_container_without_a_path_that_the_engine_knows(
    image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """78 names the setting; nothing is run. With the setting, the engine gets exactly what it says."""
    monkeypatch.setattr("controller.compose_stack.in_container", lambda: True)
    (tmp_path / "seen").mkdir()
    file = compose(
        tmp_path,
        f"services: {{provisioner: {{image: '{image}', network_mode: none, volumes: ['${{CONFIG_DIR}}:/seen'], "
        "command: [sh, -c, 'echo ran > /seen/it']}}\n",
    )
    refused = provision(file, "--config-dir", str(tmp_path / "here-only"))
    assert (refused.code, "stack.config_dir_on_host" in refused.err) == (78, True)
    assert "the controller runs in a container" in refused.err
    assert list((tmp_path / "seen").iterdir()) == []
    told = {"CONTROLLER_STACK__CONFIG_DIR_ON_HOST": str(tmp_path / "seen")}
    assert provision(file, "--config-dir", str(tmp_path / "here-only"), **told).code == 0
    assert (tmp_path / "seen" / "it").exists()
