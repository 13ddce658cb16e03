"""A controller in a real container of the engine that it works on finds itself, and CONFIG_DIR as the engine has it,
whatever the container's name, network and mounts (faults.md H11, H12)."""

import json
import secrets
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from e2e.harness import docker, engine_proxy, sidecar, stacks

COMPOSE = """\
services:
  gateway:
    image: esb-e2e-busybox
    command: [/bin/busybox, sleep, "600"]
    stop_grace_period: 0s
  controller:
    image: esb-e2e-busybox
    command: [/bin/busybox, sleep, "600"]
    stop_grace_period: 0s
  provisioner:
    image: esb-e2e-busybox
    profiles: [deploy]
    command: [/bin/busybox, sh, -c, "cat /app/config/resources.yml{more}"]
    volumes: ["${{CONFIG_DIR:?}}:/app/config"{volumes}]
    depends_on: [{needs}]
volumes: {{kept: {{name: {project}-other-name}}}}
"""
SEEN = "seen by the provisioner"


@dataclass
class Site:
    """A compose project, and controllers in containers of their own."""

    folder: Path
    project: str
    image: str
    socket: str = field(default_factory=stacks.engine_socket)

    def write(self, *, volumes: str = "", more: str = "", needs: str = "gateway") -> None:
        """The compose file: what else the provisioner mounts, reads and needs."""
        text = COMPOSE.format(project=self.project, volumes=volumes, more=more, needs=needs)
        (self.folder / "compose.yml").write_text(text, encoding="utf-8")

    @property
    def volume(self) -> str:
        """The engine's name of the volume ``kept``."""
        return f"{self.project}-other-name"

    def provision(
        self,
        config: str,
        *flags: str,
        config_dir: str = "/config",
        stack: Path | None = None,
        settings: Sequence[str] = (),
    ) -> "subprocess.CompletedProcess[str]":
        """A run of the provisioner by a controller in a container that has this at /config, and the folder of the
        compose file at `stack`: at its own path, if none is given."""
        there = stack or self.folder
        words = ["docker", "run", "--rm", "--volume", f"{config}:/config", "--volume", f"{self.folder}:{there}:ro"]
        words += ["--volume", f"{self.socket}:/var/run/docker.sock", "--user", "0", *flags]
        words += [part for one in settings for part in ("--env", one)]
        words += [self.image, "provision", "--verbose", "--project", self.project]
        words += ["--compose-file", f"{there}/compose.yml", "--config-dir", config_dir]
        return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def site(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The project, running."""
    del engine
    stacks.build_images("e2e", "docker")
    folder = tmp_path_factory.mktemp("own")
    one = Site(folder, f"own-e2e-{secrets.token_hex(4)}", sidecar.image())
    (folder / "config" / "eu").mkdir(parents=True)
    (folder / "config" / "resources.yml").write_text(SEEN, encoding="utf-8")
    (folder / "config" / "eu" / "resources.yml").write_text(f"{SEEN}, eu", encoding="utf-8")
    one.write()
    compose = ("compose", "--project-name", one.project, "--file", str(folder / "compose.yml"))
    try:
        docker.docker("volume", "create", one.volume)
        copied = ("--volume", f"{one.volume}:/to", "--volume", f"{folder}/config:/from")
        docker.docker("run", "--rm", *copied, "esb-e2e-busybox", "/bin/busybox", "cp", "-r", "/from/.", "/to")
        docker.run(["env", "CONFIG_DIR=kept", "docker", *compose, "up", "--detach"])
        mounts = (one.volume, *(f"{folder}/{below}" for below in ("config", "config/eu", "rules")))
        with engine_proxy.before(*mounts) as address:
            one.socket = address.removeprefix("unix://") or one.socket
            yield one
    finally:
        docker.run(["env", "CONFIG_DIR=kept", "docker", *compose, "--profile", "deploy", "down", "--timeout", "0"])
        docker.docker("volume", "rm", "--force", one.volume)


@pytest.fixture
def written(site: Site) -> Iterator[Callable[..., None]]:
    """A function that writes another compose file, for one test."""
    yield site.write
    site.write()


ROOMS = {
    "as it is": (),
    "a host name": ("--hostname", "elsewhere"),
    "the host's network": ("--network", "host"),
    "no network": ("--network", "none"),
    "the host's groups": ("--cgroupns", "host"),
    "read only": ("--read-only", "--tmpfs", "/tmp"),  # noqa: S108 - of the container
    "many mounts": ("--tmpfs", "/more", "--volume", "/anonymous", "--volume", "/etc:/of-the-host:ro"),
    "another container's network": ("--network", "container:{gateway}"),
}


@pytest.mark.parametrize(("kind", "room"), [*(("volume", room) for room in ROOMS), ("folder", "many mounts")])
def test_h12_config_dir_is_found_out(site: Site, kind: str, room: str) -> None:
    """H12: nothing is set, and the provisioner sees what is published."""
    config = site.volume if kind == "volume" else f"{site.folder}/config"
    flags = [each.format(gateway=f"{site.project}-gateway-1") for each in ROOMS[room]]
    done = site.provision(config, *flags)
    assert done.returncode == 0, done.stderr
    assert SEEN in done.stdout


def test_h12_a_folder_below_a_mount(site: Site) -> None:
    """CONFIG_DIR need not be the mount itself where it is a folder of the host. Compose cannot name one in a volume."""
    done = site.provision(f"{site.folder}/config", config_dir="/config/eu")
    assert done.returncode == 0, done.stderr
    assert f"{SEEN}, eu" in done.stdout
    refused = site.provision(site.volume, config_dir="/config/eu")
    assert (refused.returncode, "below it eu" in refused.stderr) == (78, True)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("CONTROLLER_STACK__CONFIG_DIR_ON_HOST=/srv/elsewhere", "/srv/elsewhere"),
        ("CONTROLLER_STACK__CONFIG_DIR_ON_HOST=nothing", "undefined volume nothing"),
    ],
)
def test_h12_what_is_set_and_wrong_is_told(site: Site, settings: str, words: str) -> None:
    done = site.provision(f"{site.folder}/config", settings=[settings])
    assert (done.returncode, words in done.stderr) == (78, True)


@pytest.mark.parametrize("flags", [("--tmpfs", "/mine"), ("--volume", "/mine"), ("--env", "NOTHING=")])
def test_h12_a_config_dir_of_the_container_only(site: Site, flags: tuple[str, ...]) -> None:
    """In memory, on a nameless volume, in the container itself."""
    done = site.provision(f"{site.folder}/config", *flags, config_dir="/mine" if flags[1] == "/mine" else "/opt")
    assert (done.returncode, "no other container sees it" in done.stderr) == (78, True)


def test_h12_relative_paths_of_another_folder(site: Site, written: Callable[..., None]) -> None:
    """Compose would make them of the path in here. With the folder at its own path, and with the project directory set
    to it, the provisioner sees the file."""
    (site.folder / "rules").mkdir(exist_ok=True)
    (site.folder / "rules" / "one").write_text("a rule", encoding="utf-8")
    written(volumes=', "./rules:/rules"', more=" /rules/one")
    config = f"{site.folder}/config"
    refused = site.provision(config, stack=Path("/stack"))
    assert refused.returncode == 78
    for word in ("/stack/rules at /rules", f"{site.folder}/rules of the engine's host", "stack.project_directory"):
        assert word in refused.stderr
    for done in (
        site.provision(config),
        site.provision(config, stack=Path("/stack"), settings=[f"CONTROLLER_STACK__PROJECT_DIRECTORY={site.folder}"]),
    ):
        assert done.returncode == 0, done.stderr
        assert "a rule" in done.stdout


def test_h11_with_deps_does_not_make_the_controller_again(site: Site, written: Callable[..., None]) -> None:
    """The container has the labels of the project's service, as the sidecar's has."""
    labels = {"com.docker.compose.project": site.project, "com.docker.compose.service": "controller"}
    flags = [part for key, value in labels.items() for part in ("--label", f"{key}={value}")]
    before = inventory(site)
    written(needs="gateway, controller")
    with_deps = ["CONTROLLER_STACK__WITH_DEPS=true"]
    refused = site.provision(f"{site.folder}/config", *flags, settings=with_deps)
    assert (refused.returncode, "this very controller" in refused.stderr) == (78, True)
    done = site.provision(f"{site.folder}/config", *flags)
    assert done.returncode == 0, done.stderr
    assert inventory(site) == before


def inventory(site: Site) -> list[tuple[str, str]]:
    """The project's containers, with the times of their starts."""
    ids = docker.docker("ps", "--quiet", "--no-trunc", "--filter", f"label=com.docker.compose.project={site.project}")
    shown = json.loads(docker.docker("inspect", *ids.split()))
    return sorted((one["Id"], one["State"]["StartedAt"]) for one in shown)
