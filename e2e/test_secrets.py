"""K1 with a real engine: values that must not be seen, while passes succeed and fail in every way they can.

Looked for in everything that is left: output, log, record, saved plan, CONFIG_DIR, labels and history of images, and
the command lines of all children; each as it is, encoded, and in parts.
"""

import base64
import json
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from e2e.harness import artifacts, canaries, commands, converging, daemon, docker, stacks
from tests.fakes import registries

_NAMES = (
    *("secret file", "secret in the environment", "registry", "compose file", "compose environment", "function"),
    *("tcp", "ssh", "webhook", "notify"),
)
CANARIES: Mapping[str, str] = {
    name: f"k1-{number:02}{name.replace(' ', '')}-Zr8/q=w+Tz" for number, name in enumerate(_NAMES)
}
ECHO = "echoed by the registry"
SAID = "said by the provisioner"
_COMPOSE = """\
services:
  gateway: {{environment: {{DB_PASSWORD: '{value}'}}}}
  provisioner:
    environment: {{DB_PASSWORD: '{value}', ENCODED_PASSWORD: '{encoded}', DATABASE: 'pg://user:{quoted}@db/x'}}
    command:
    - /usr/bin/python3.11
    - -c
    - "import os; [print(*each, sep='=') for each in os.environ.items()]; exit('{said}')"
"""


@dataclass
class Places:
    """What was seen, by place."""

    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)

    def take(self, ended: commands.Ended) -> None:
        """Keep what a command said."""
        self.out.append(ended.out)
        self.err.append(ended.err)

    def take_images(self, address: str) -> None:
        """Keep what the engine says of every image under this address, and of its layers."""
        listed = docker.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", f"{address}/*")
        for name in (name for name in listed.split() if "<none>" not in name):
            self.images += docker.docker("image", "inspect", name), docker.docker("history", "--no-trunc", name)


@dataclass
class Watched:
    """A stack full of canaries, the command that follows it, and what was seen so far."""

    target: converging.Target
    lines: canaries.Lines
    places: Places = field(default_factory=Places)

    @property
    def environment(self) -> dict[str, str]:
        """Secrets as an operator would set them."""
        return {
            "PATH": self.lines.path,
            "E2E_OTHER": CANARIES["secret in the environment"],
            "REGISTRY_PASSWORD": CANARIES["registry"],
            "CONTROLLER_HTTP__WEBHOOK_SECRET": CANARIES["webhook"],
            "CONTROLLER_NOTIFY__URL": f"http://127.0.0.1:1/{CANARIES['notify']}",
            "CONTROLLER_NOTIFY__ON": "failed,recovered,changed",
            "CONTROLLER_STACK__PROVISION_ATTEMPTS": "1",
            "CONTROLLER_SECRETS__ENV_FILE": str(self.target.stack.folder / "secrets.env"),
        }

    def run(self, *words: str, codes: tuple[int, ...] = (0,), **more: str) -> None:
        """One command, in text and JSON; what it said is kept."""
        for output in ("text", "json"):
            arguments = (*words, "--output", output, *(("-v",) if output == "text" else ()))
            ended = self.target.controller.run(*arguments, env={**self.environment, **more}, expect=None)
            self.places.take(ended)
            assert ended.code in codes, ended

    def reconcile(self, *codes: int, **more: str) -> None:
        """A pass in text, and one in JSON, which may find less to do."""
        self.run("reconcile", "--once", *self.target.options, codes=(*codes, 0), **more)

    def found(self) -> dict[str, str]:
        """Every canary that was seen where it must not be."""
        config_dir, places = self.target.stack.config_dir, self.places
        record, documents = config_dir / ".controller", config_dir / "functions.yml"
        everything = [file for file in sorted(config_dir.rglob("*")) if file.is_file()]
        functions = {file for file in everything if file.name in {"functions.yml", "functions"}}
        seen = {
            "stdout": "\n".join(places.out).encode(),
            "stderr": "\n".join(places.err).encode(),
            "log": "\n".join(places.log).encode(),
            "images": "\n".join(places.images).encode(),
            "record": b"".join(file.read_bytes() for file in everything if record in file.parents),
            "CONFIG_DIR": b"".join(file.read_bytes() for file in everything if file not in functions),
            "saved plan": (self.target.stack.folder / "plan.json").read_bytes(),
            "command lines": b"\n".join((self.lines.calls, *self.lines.seen)),
        }
        assert all(seen.values()), {place: len(content) for place, content in seen.items()}
        assert CANARIES["function"].encode() in documents.read_bytes(), "what is published is published all the same"
        others = {name: canary for name, canary in CANARIES.items() if name != "function"}
        published = {"functions.yml": b"".join(file.read_bytes() for file in functions)}
        return {**canaries.found(CANARIES, seen), **canaries.found(others, published)}


@pytest.fixture
def watched(
    stack: stacks.Stack, controller: commands.Controller, artifact: artifacts.Artifact, tmp_path: Path
) -> Iterator[Watched]:
    """The stack with a canary in every place where a secret stands."""
    (stack.folder / "secrets.env").write_text(f"E2E_SECRET={CANARIES['secret file']}\n", encoding="utf-8")
    stack.configure(UNUSED_SECRET=CANARIES["compose file"], PROVISIONER_FAIL="")
    text = artifact.manifest.read_text(encoding="utf-8")
    entry = "    runtime_config_dir: config\n"
    artifact.manifest.write_text(text.replace(entry, f"{entry}    required_secret_env: [E2E_SECRET, E2E_OTHER]\n", 1))
    functions = artifact.document("api", "functions.yml")
    functions.write_text(functions.read_text(encoding="utf-8").replace("good day", CANARIES["function"]))
    with canaries.watched(tmp_path / "bin") as lines:
        yield Watched(converging.Target(stack, controller, artifact), lines)


def another_table(watched: Watched, name: str) -> None:
    """Something for the provisioner to do."""
    resources = watched.target.artifact.document("api", "resources.yml")
    resources.write_text(resources.read_text(encoding="utf-8").replace("e2e-orders", name), encoding="utf-8")


def test_k1_no_secret_is_seen_anywhere(watched: Watched) -> None:
    """Output, command lines, the record, CONFIG_DIR, labels and history of images, while things go well and fail."""
    target, stack = watched.target, watched.target.stack
    watched.reconcile()
    watched.run("diff", *target.options, "--out", str(stack.folder / "plan.json"))
    watched.run("probe", "--project", stack.project)
    another_table(watched, "e2e-k1")
    stack.configure(PROVISIONER_FAIL="3")
    watched.reconcile(81)
    stack.configure(PROVISIONER_FAIL="")
    dockerfile = target.artifact.function("hello") / "Dockerfile"
    dockerfile.write_text("FROM registry:5010/esb-lambda-base\nRUN exit 3\n", encoding="utf-8")
    watched.reconcile(80)
    for command in ("status", "history", "events"):
        watched.run(command, "--config-dir", str(stack.config_dir))
    watched.run("doctor", *target.options)
    stay(watched)
    watched.places.take_images(stack.registry.address)
    assert stack.project.encode() in watched.lines.calls, "docker was called, and written down"
    assert watched.found() == {}


def stay(watched: Watched) -> None:
    """A controller that stays: its log, and what it tells over HTTP, while its passes fail and cannot be told."""
    env = {**watched.environment, "CONTROLLER_LOG__LEVEL": "debug"}
    with daemon.following(watched.target.controller, *watched.target.options, env=env) as staying:
        staying.await_ready()
        assert staying.passes[-1]["reason"] == "ImageBuildFailed"
        staying.await_line(lambda line: "notif" in line["event"])
        for path in ("/healthz", "/readyz", "/metrics", "/v1/state"):
            answer = staying.http.get(path)
            watched.places.out.append(f"{answer.headers}{answer.text}")
        refused = staying.http.ask("POST", "/v1/webhook", body="{}", headers={"X-Hub-Signature-256": "sha256=00"})
        assert refused.status in {400, 401, 403}
        watched.places.out.append(f"{refused.headers}{refused.text}")
        staying.end()
        watched.places.log += [*map(json.dumps, staying.lines), *staying.noise]


ADDRESSES = {
    "tcp": ("tcp://user:{}@127.0.0.1:1", "DOCKER_HOST", (69,)),
    "tcp, by the settings": ("tcp://user:{}@127.0.0.1:1", "CONTROLLER_DOCKER__HOST", (78,)),
    "ssh": ("ssh://user:{}@127.0.0.1:1", "DOCKER_HOST", (69,)),
    "ssh, by the settings": ("ssh://user:{}@127.0.0.1:1", "CONTROLLER_DOCKER__HOST", (78,)),
}


@pytest.mark.parametrize("how", ADDRESSES)
@pytest.mark.parametrize("form", ["as it is", "with a slash", "percent-encoded"])
def test_k1_credentials_in_the_address_of_the_engine(watched: Watched, how: str, form: str) -> None:
    """A password in DOCKER_HOST or in the settings: every command that asks the engine fails with words, of which it is
    no part, and no child is given it as an argument; the settings do not take it, because docker would be."""
    shape, variable, codes = ADDRESSES[how]
    canary = CANARIES["ssh" if "ssh" in how else "tcp"]
    plain = canary.replace("/", "-")
    address = shape.format(
        {"as it is": plain, "with a slash": canary, "percent-encoded": urllib.parse.quote(canary, safe="")}[form]
    )
    target, hidden = watched.target, dict(CANARIES, used=plain)
    files = [part for file in target.stack.files for part in ("--compose-file", str(file))]
    target.artifact.code("hello", f"echo {form} {how}")
    watched.reconcile(*codes, **{variable: address})
    watched.run("probe", "--project", target.stack.project, codes=codes, **{variable: address})
    watched.run("provision", "--project", target.stack.project, *files, codes=codes, **{variable: address})
    watched.run("doctor", *target.options, codes=(1, *codes), **{variable: address})
    watched.run("status", "--config-dir", str(target.stack.config_dir), codes=(0, *codes), **{variable: address})
    said = "\n".join((*watched.places.out, *watched.places.err)).encode()
    record = target.stack.config_dir / ".controller"
    seen = {
        "output": said,
        "command lines": b"\n".join((watched.lines.calls, *watched.lines.seen)),
        "record": b"".join(file.read_bytes() for file in record.iterdir()) if record.exists() else b"",
    }
    assert b"docker" in said
    assert canaries.found(hidden, seen) == {}


@pytest.fixture
def echoing(stack: stacks.Stack) -> Iterator[registries.Registry]:
    """A registry that has the base, takes nothing, and says back what it was told in every way it can."""
    canary = CANARIES["registry"]
    told = f"{canary} {urllib.parse.quote(canary, safe='')} Basic {encoded('user:' + canary)} {encoded(canary)}"
    body = json.dumps({"errors": [{"code": "DENIED", "message": f"{ECHO}: {told}", "detail": told}]}).encode()
    with registries.running() as registry:
        name = f"{registry.address}/esb-lambda-base:{stack.tag}"
        docker.docker("tag", f"esb-lambda-base:{stack.tag}", name)
        docker.docker("push", "--quiet", name)
        docker.docker("tag", name, f"{registry.address}/esb-lambda-base:latest")
        docker.docker("push", "--quiet", f"{registry.address}/esb-lambda-base:latest")
        headers = {"Content-Type": "application/json", "X-Told": canary}
        registry.fault(registries.Fault(status=403, headers=headers, body=body), "^(POST|PUT|PATCH)")
        registry.fault(registries.Fault(status=500, headers=headers, body=body), "^(GET|HEAD) .*/e2e-greet/")
        try:
            yield registry
        finally:
            shape = ("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", f"{registry.address}/*")
            names = [name for name in docker.docker(*shape).split() if "<none>" not in name]
            docker.docker("image", "rm", "--force", *names, check=False)


def encoded(text: str) -> str:
    """In base64."""
    return base64.b64encode(text.encode()).decode()


def test_k1_what_a_registry_says_back(watched: Watched, echoing: registries.Registry) -> None:
    """Its words are shown, because they say why a push was refused; what they have of a password is not."""
    watched.reconcile(69, 80, HOST_REGISTRY_ADDR=echoing.address)
    said = "\n".join((*watched.places.out, *watched.places.err))
    assert any(method in {"POST", "PUT", "PATCH"} for method, _ in echoing.requests), "it was pushed to"
    assert ECHO in said, "what it said was quoted"
    watched.places.take_images(echoing.address)
    record = watched.target.stack.config_dir / ".controller"
    seen = {
        "output": said.encode(),
        "record": b"".join(file.read_bytes() for file in record.iterdir()),
        "images": "\n".join(watched.places.images).encode(),
        "command lines": b"\n".join((watched.lines.calls, *watched.lines.seen)),
    }
    assert all(seen.values())
    assert canaries.found(CANARIES, seen) == {}


def test_k1_what_compose_gives_to_services(watched: Watched) -> None:
    """A provisioner that prints its environment and fails: its last lines are shown, its passwords are not."""
    target, canary = watched.target, CANARIES["compose environment"]
    more = target.stack.folder / "secret.yml"
    more.write_text(
        _COMPOSE.format(
            value=canary,
            encoded=encoded(canary),
            quoted=urllib.parse.quote(canary, safe="").replace("$", "$$"),
            said=SAID,
        ),
        encoding="utf-8",
    )
    watched.reconcile()
    another_table(watched, "e2e-k1-printed")
    files = ",".join(map(str, (*target.stack.files, more)))
    watched.reconcile(81, CONTROLLER_STACK__COMPOSE_FILES=files)
    assert SAID in "\n".join(watched.places.err), watched.places.err
    compose = [part for file in (*target.stack.files, more) for part in ("--compose-file", str(file))]
    env_file = ("--env-file", str(target.stack.env_file))
    watched.run("provision", "--project", target.stack.project, *compose, *env_file, codes=(81,))
    watched.run("probe", "--project", target.stack.project)
    watched.run("events", "--config-dir", str(target.stack.config_dir))
    record = target.stack.config_dir / ".controller"
    seen = {
        "output": "\n".join((*watched.places.out, *watched.places.err)).encode(),
        "record": b"".join(file.read_bytes() for file in record.iterdir()),
        "command lines": b"\n".join((watched.lines.calls, *watched.lines.seen)),
    }
    assert canaries.found(CANARIES, seen) == {}


@pytest.mark.parametrize("name", CANARIES)
def test_every_disguise_would_be_found(name: str) -> None:
    """Also in the middle of something else."""
    canary = CANARIES[name]
    whole, quoted = canary.encode(), urllib.parse.quote(canary, safe="")
    disguises = (
        *(whole, quoted.encode(), quoted.replace("%2F", "%2f").replace("%3D", "%3d").replace("%2B", "%2b").encode()),
        *(base64.b64encode(before + whole + b":after") for before in (b"", b"u:", b"user:", b"us:")),
        *(base64.urlsafe_b64encode(before + whole) for before in (b"", b"u", b"us")),
        *(whole.hex().encode(), whole[3:-1], json.dumps(canary).encode()),
    )
    missed = [each for each in disguises if not canaries.found({name: canary}, {"here": b"x" + each + b"y"})]
    assert missed == []
