"""The image of the Dockerfile that everybody builds, made here of local packages: what is in it, and what is not."""

import json
import re
import subprocess

import pytest

import controller
from e2e.harness import docker, sidecar, stacks

MOST_BYTES = 250_000_000
PROGRAMS = (
    *("docker", "git", "ssh", "ssh-keygen", "gpg", "tini", "sh", "setsid", "timeout", "env", "head", "tail", "tr"),
    *("bash", "chmod", "date", "grep", "mkdir", "rm", "touch"),
)
ABSENT = ("perl", "apt-get", "dpkg", "pip", "curl", "cc")
LOADED = """
import importlib, json, pathlib, pkgutil, sys
import controller, core, manifests
for package in (controller, core, manifests):
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        importlib.import_module(found.name)
code = pathlib.Path("/opt/controller/code")
sources = [file for file in code.rglob("*.py")]
compiled = [file for file in sources if list((file.parent / "__pycache__").glob(f"{file.stem}.*.pyc"))]
origins = [getattr(module, "__cached__", None) or "" for module in list(sys.modules.values())]
print(json.dumps({
    "modules": sum(name.startswith(("controller.", "core.", "manifests.")) for name in sys.modules),
    "sources": len(sources),
    "compiled": len(compiled),
    "elsewhere": [one for one in origins if one and not one.startswith(("/usr/lib/python", "/opt/controller/"))],
}))
"""
INSTALLED = "import importlib.metadata as m; print(*sorted(f'{d.name}=={d.version}' for d in m.distributions()))"


@pytest.fixture(scope="module")
def image(engine: str) -> str:
    """Its name."""
    assert engine
    return sidecar.image()


def run(image: str, *arguments: str, flags: tuple[str, ...] = (), entry: str = "") -> str:
    """A command in a container that may do nothing."""
    bare = ["run", "--rm", "--read-only", "--cap-drop", "ALL", "--network", "none", "--user", "4242:4242", *flags]
    return docker.docker(*bare, *(["--entrypoint", entry] if entry else []), image, *arguments)


def plain(name: str) -> str:
    """A package's name as all its spellings have it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_it_is_small(image: str) -> None:
    """With the docker command and both plugins, which are two thirds of it."""
    size = int(docker.docker("image", "inspect", "--format", "{{.Size}}", image))
    print(f"image: {size / 1e6:.0f} MB, must reach {MOST_BYTES / 1e6:.0f} MB")
    assert size <= MOST_BYTES


def test_its_labels_say_what_it_is(image: str) -> None:
    """As in the OCI's list of annotations. The version is that of the code: another one cannot be built."""
    labels = json.loads(docker.docker("image", "inspect", "--format", "{{json .Config.Labels}}", image))
    told = {key.removeprefix("org.opencontainers.image."): value for key, value in labels.items()}
    assert (told["title"], told["version"], told["licenses"]) == (
        "artifact-controller",
        controller.__version__,
        "Apache-2.0",
    )
    assert set(told) >= {"title", "description", "version", "revision", "source", "licenses"}
    assert run(image, "--version") == f"artifact-controller {controller.__version__}"


def test_how_it_is_run(image: str) -> None:
    """Not as root, behind an init, with a check of its health."""
    shape = "{{.Config.User}} {{json .Config.Entrypoint}} {{json .Config.Healthcheck.Test}} {{.Config.StopSignal}}"
    assert (
        docker.docker("image", "inspect", "--format", shape, image)
        == '1000:1000 ["tini","--","controller"] ["CMD","controller","healthcheck"] SIGTERM'
    )


def test_it_has_what_a_controller_runs_and_no_more(image: str) -> None:
    """No package manager, no interpreter but the one, nothing that compiles."""
    script = 'for name in "$@"; do command -v "$name" >/dev/null && echo "$name"; done; true'
    found = run(image, "-c", script, "sh", *PROGRAMS, *ABSENT, entry="sh").split()
    assert found == list(PROGRAMS)
    told = run(image, "-c", "docker compose version --short && docker buildx version && gpg --version", entry="sh")
    assert "GnuPG" in told
    # git finds its own helper for https, and that one finds the authorities; nobody listens there
    with pytest.raises(docker.CommandFailed, match=r"Failed to connect|Couldn't connect"):
        run(image, "ls-remote", "https://127.0.0.1:1/x.git", entry="git")
    assert "BEGIN CERTIFICATE" in run(image, "/etc/ssl/certs/ca-certificates.crt", entry="cat")


def test_it_has_the_packages_of_the_lock(image: str) -> None:
    """By exact versions, but for those that only colour sources. What installed them is gone."""
    lock = (stacks.ROOT / "requirements.runtime.lock").read_text(encoding="utf-8")
    pins = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", lock, re.MULTILINE)
    pinned = {f"{plain(name)}=={version}" for name, version in pins}
    listed = run(image, "-c", INSTALLED, entry="/opt/controller/bin/python").split()
    found = {f"{plain(name)}=={version}" for name, _, version in (one.partition("==") for one in listed)}
    left_out = {one for one in pinned if one.startswith(("pygments=", "markdown-it-py=", "mdurl="))}
    assert found == pinned - left_out


def test_every_module_loads_and_is_compiled(image: str) -> None:
    """On a read-only file system a module without bytecode would be compiled at every start."""
    told = json.loads(run(image, "-I", "-c", LOADED, entry="/opt/controller/bin/python"))
    assert told["sources"] == told["compiled"] > 200
    assert told["modules"] > 200
    assert told["elsewhere"] == []


def test_nobody_may_write_but_where_state_goes(image: str) -> None:
    """Folders that a new named volume takes its mode from: /state for anybody, /config for the usual user."""
    listed = run(image, "-c", "ls -ldn /state /config /tmp; ls -A /state /config", entry="sh").splitlines()
    modes = {line.split()[-1]: (line[:10], line.split()[2]) for line in listed if line.startswith("d")}
    assert modes == {
        "/state": ("drwxrwxrwt", "1000"),
        "/config": ("drwxr-xr-x", "1000"),
        "/tmp": ("drwxrwxrwt", "0"),  # noqa: S108 - of the container
    }


def test_another_version_than_that_of_the_code_is_not_built(image: str) -> None:
    """The label and the code cannot differ."""
    assert image
    command = ["docker", "build", "--progress=plain", "--target", "code", "--build-arg", "BASE=esb-e2e-base"]
    command += ["--network=none", "--build-arg", "VERSION=9.9.9", str(stacks.ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "VERSION=9.9.9 is not the version of the code" in done.stderr


def test_a_container_tells_whether_it_lives(image: str) -> None:
    """0 and 1, by the address that the image sets."""
    name = docker.docker(
        *("run", "--detach", "--rm", "--read-only", "--network", "none", "--volume", "/config"),
        *("--volume", f"{stacks.ROOT / 'e2e' / 'artifacts' / 'shop'}:/artifacts:ro", image),
        *("reconcile", "--source", "/artifacts", "--config-dir", "/config"),
    )
    try:
        tried = "until controller healthcheck 2>/dev/null; do sleep 1; done"
        docker.docker("exec", name, "sh", "-c", tried)
        with pytest.raises(docker.CommandFailed, match="not healthy: :9: Connection refused"):
            docker.docker("exec", name, "controller", "healthcheck", "--url", ":9")
    finally:
        docker.docker("rm", "--force", "--volumes", name)
