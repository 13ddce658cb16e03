"""A stack whose folder a user could have made: its compose.yml, the sidecar's file beside it, a controller.yml, `.env`.

Everything that starts it is `docker compose up` in that folder, without an option. Owns the folder and how a test looks
at the sidecar: its log lines, its record, its container. What is in the image is `e2e.scripts.build_image`'s.
"""

import contextlib
import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import yaml

from e2e.harness import docker, engine_proxy, stacks
from tests.fakes import ports

PATIENCE_S = 180.0
"""Longer than anything takes; a test that waits for so long has failed."""

SETTINGS = """\
source: {source}
stack: {{project: {project}, compose_files: [{files}]}}
registry: {{runtime: "registry:5010", host: "{registry}"}}
retry: {{first: 500ms, longest: 1s}}
rescan: 500ms
"""
INCLUDED = "include: [compose.controller.yml]\n"
SERVICE = "controller"
OWN = ("compose.yml", "compose.base.yml")
"""What the stack has without a sidecar."""


@functools.cache
def image() -> str:
    """The controller's image, built unless it is there; looked for once in a run of the tests."""
    built = docker.run([sys.executable, "-m", "e2e.scripts.build_image"], timeout=600)
    return built.split()[-1]


@dataclass
class Site(stacks.Stack):
    """The stack of one folder. `source` is the section of controller.yml; with `volume` CONFIG_DIR is a named one,
    and the stack's own files include the sidecar's, which `-f` names otherwise."""

    source: str = ""
    volume: bool = False
    listen: int = field(default_factory=lambda: ports.free()[0])

    def __post_init__(self) -> None:
        """Make the folder; nothing is started."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        sidecars = "included.yml" if self.volume else "compose.controller.yml"
        for name in OWN:
            shutil.copyfile(stacks.STACK / name, self.folder / name)
        shutil.copyfile(stacks.ROOT / "compose.controller.yml", self.folder / "compose.controller.yml")
        (self.folder / "included.yml").write_text(INCLUDED, encoding="utf-8")
        self.settings = {
            "COMPOSE_FILE": f"compose.yml:compose.base.yml:{sidecars}",
            "COMPOSE_PROJECT_NAME": self.project,
            **_way(stacks.engine_socket()),
            "SIDECAR_IMAGE": image(),
            "SIDECAR_LISTEN": f"127.0.0.1:{self.listen}",
            **({"CONFIG_DIR": "config"} if self.volume else {}),
            **self.settings,
        }
        super().__post_init__()
        self.write_settings(self.source)

    @property
    def env_file(self) -> Path:
        """As compose finds it by itself."""
        return self.folder / ".env"

    @property
    def container(self) -> str:
        """The sidecar's."""
        return f"{self.project}-{SERVICE}-1"

    def write_settings(self, source: str) -> None:
        """The controller.yml."""
        text = SETTINGS.format(
            source=source,
            project=self.project,
            files="compose.yml, included.yml" if self.volume else "compose.yml",
            registry=self.registry.address,
        )
        (self.folder / "controller.yml").write_text(text, encoding="utf-8")

    def compose(self, *arguments: str, check: bool = True) -> str:
        """`docker compose` as somebody types it in the folder: whatever it has to know is in `.env`."""
        done = subprocess.run(
            ["docker", "compose", *arguments],
            cwd=self.folder,
            env={**os.environ, "PWD": str(self.folder)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        if check and done.returncode:
            raise docker.CommandFailed(f"docker compose {' '.join(arguments)}: exit {done.returncode}\n{done.stderr}")
        return done.stdout

    def up(self) -> None:
        """Images of the environment, then the one command."""
        stacks.build_images(self.tag, self.mode)
        self.compose("up", "--detach")

    def as_found(self, work: Path) -> None:
        """The folder before the sidecar's file is named in `.env`: one compose.yml, the gateway's address, and a
        working copy of the repository as `work`."""
        own, base = (yaml.safe_load((self.folder / name).read_text(encoding="utf-8")) for name in OWN)
        own["services"] |= base["services"]
        (self.folder / "compose.yml").write_text(yaml.safe_dump(own), encoding="utf-8")
        (self.folder / "gateway").write_text(f"http://127.0.0.1:{self.settings['GATEWAY_PORT']}\n", encoding="utf-8")
        (self.folder / "work").symlink_to(work)
        kept = {key: value for key, value in self.settings.items() if key not in {"COMPOSE_FILE", "DOCKER_GID"}}
        self.env_file.write_text("".join(f"{key}={value}\n" for key, value in kept.items()), encoding="utf-8")

    def controller(self, *arguments: str) -> str:
        """A command of the controller in the sidecar's container, with the settings of the sidecar."""
        settings = ["--config", str(self.folder / "controller.yml")]
        return docker.docker("exec", self.container, "controller", *arguments, *settings)

    def log(self) -> list[dict[str, Any]]:
        """The lines of the sidecar since its last start."""
        since = ["--since", self.state("{{.State.StartedAt}}")]
        done = subprocess.run(["docker", "logs", *since, self.container], capture_output=True, text=True, check=False)
        lines = []
        for line in (done.stdout + done.stderr).splitlines():
            with contextlib.suppress(ValueError):
                lines.append(json.loads(line))
        return lines

    def passes(self) -> list[dict[str, Any]]:
        """Those about passes."""
        return [line for line in self.log() if line["event"] == "pass"]

    def await_pass(self, wanted: Callable[[dict[str, Any]], bool], *, since: int = 0) -> dict[str, Any]:
        """The first pass from number `since` on that fits."""
        end = monotonic() + PATIENCE_S
        while monotonic() < end:
            for line in self.passes()[since:]:
                if wanted(line):
                    return line
            sleep(0.1)
        raise AssertionError("\n".join(map(str, self.log()[-8:])) or docker.docker("logs", self.container))

    def one_shot(
        self, *arguments: str, flags: tuple[str, ...] = (), begin: str = ""
    ) -> "subprocess.CompletedProcess[str]":
        """A command of the controller in a container of its own, as bare as the sidecar's, with its volumes. `flags`
        are docker's; `begin` is a shell's word before it, such as `umask 077;`."""
        command = ["docker", "run", "--rm", "--network", "host", "--read-only", "--cap-drop", "ALL", "--group-add"]
        command += [self.settings["DOCKER_GID"], "--volume", f"{self.folder}:{self.folder}:ro", "--security-opt"]
        command += [
            "no-new-privileges:true",
            "--volume",
            f"{self.config_dir}:/config",
            "--volume",
            f"{self.memory}:/state",
        ]
        command += ["--volume", f"{self.settings['DOCKER_SOCKET']}:/var/run/docker.sock", "--entrypoint", "sh", *flags]
        settings = ("--config", str(self.folder / "controller.yml"), "--config-dir", "/config", "--state-dir", "/state")
        script = f'{begin} exec tini -- controller "$@"'
        return subprocess.run(
            [*command, self.settings["SIDECAR_IMAGE"], "-c", script, "sh", *arguments, *settings],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

    @property
    def memory(self) -> str:
        """The volume with record and clone."""
        return f"{self.project}_controller-state"

    def state(self, shape: str) -> str:
        """What the engine says of the sidecar's container."""
        return docker.docker("inspect", "--format", shape, self.container).strip()


def settled(line: dict[str, Any]) -> bool:
    """Whether a pass ended well."""
    return not line["failed"]


def _way(socket: str) -> dict[str, str]:
    """What `.env` says of the socket that the sidecar asks."""
    return {"DOCKER_GID": str(os.stat(socket).st_gid), "DOCKER_SOCKET": socket}


@contextlib.contextmanager
def proxied(site: Site) -> Iterator[Site]:
    """The sidecar asks a proxy, which refuses nothing of what it asks, or the test fails."""
    with engine_proxy.before(str(site.config_dir), f"{site.project}_config") as address:
        if address:
            site.configure(**_way(address.removeprefix("unix://")))
        yield site


@contextlib.contextmanager
def standing(site: Site) -> Iterator[Site]:
    """Removed afterwards; what the sidecar said is shown when the block fails."""
    try:
        yield site
    except BaseException as problem:
        with contextlib.suppress(docker.CommandFailed):  # it may not be there at all
            problem.add_note("\n".join(map(str, site.log()[-10:])))
        raise
    finally:
        site.down()
