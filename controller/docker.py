"""The engine: the only door to Docker, and the only home of python-on-whales (contract.md sections 5, 6, 8).

Every call of the docker command has a deadline, bounded output and no input (`controller.docker_child`); what comes
back is a value, one of the exceptions below, or ``ControllerError("DockerUnavailable")`` with the missing piece
(`controller.docker_calls`). Argument lists and output, which python-on-whales puts into its exceptions (consumers.md
DK4), never leave. Decides nothing, retries nothing, and touches only what it is told to.

python-on-whales makes the commands and runs them. Its typed results are not used: each costs a call more, and one that
it cannot read leaves a copy, environment and all, in the temporary directory. It is loaded with the first call (0.2 s),
because most commands need no engine.
"""

import functools
import os
import re
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from controller import (
    clock,
    docker_calls,
    docker_child,
    docker_failures,
    docker_output,
    docker_payloads,
    docker_preflight,
    docker_values,
    errors,
    registry_names,
)
from core import compose_definition, image_inputs

if TYPE_CHECKING:
    import python_on_whales

Piece = docker_values.Piece
Deadlines = docker_values.Deadlines
Container = docker_values.Container
EngineImage = docker_values.EngineImage
RemoteManifest = docker_values.RemoteManifest
BuildRequest = docker_values.BuildRequest
ServiceRun = docker_values.ServiceRun
RunOutcome = docker_values.RunOutcome
CommandFailed = docker_values.CommandFailed
NameInUse = docker_values.NameInUse
DeadlinePassed = docker_values.DeadlinePassed
terminate_children = docker_child.terminate_children

DEFAULT_PLATFORM = "DOCKER_DEFAULT_PLATFORM"
"""The variable from which buildx takes a platform when none is asked for."""

LABEL_CALL = "artifact-controller.call"
"""Tells the container of one `run_service` from all others, in the engine's events."""

_LOCAL = re.compile(r"(?:unix|npipe|fd)://")
_TCP = re.compile(r"(?:(?:tcp|http|https)://)?(?:[^/@]*@)?([^/@]+)(?:/.*)?")
_NO_MANIFEST = re.compile(r"error: .*(?:: not found|manifest unknown|name unknown)", re.IGNORECASE)
_SERVICE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]*")
_NO_CONTAINER = re.compile(r"no such container", re.IGNORECASE)
_MACHINE = clock.Clock()


class Engine:
    """One engine: by address, by the name of a context, or as the docker command finds it. Safe for threads.

    Making one runs nothing. Every method may raise ``ControllerError("DockerUnavailable")``. `owner` is the target for
    which it is asked, as `terminate_children` takes it.
    """

    def __init__(
        self,
        *,
        host: str | None = None,
        context: str | None = None,
        deadlines: Deadlines | None = None,
        owner: str = "",
    ) -> None:
        if host and context:
            raise errors.ControllerError(
                "SettingsInvalid", "docker.host and docker.context both name an engine: leave one out"
            )
        self._host, self._context = host or None, context or None
        self._known_host = host or ("" if context else os.environ.get("DOCKER_HOST", ""))
        self._deadlines = deadlines or Deadlines()
        self._owner = owner
        self._calls = docker_calls.Calls(self._run, self.address, self._deadlines.probe_s)
        self._found: set[Piece] = set()
        self._platform = ""

    @property
    def address(self) -> str:
        """Where the engine is, in words and without credentials."""
        context = self._context or os.environ.get("DOCKER_CONTEXT")
        if self._known_host:
            return docker_output.redacted(self._known_host)
        return f"context {context}" if context else "the current docker context"

    @functools.cached_property
    def remote(self) -> bool:
        """Whether the engine's host is another than this one; over TCP, loopback is this one. A context is looked up,
        once."""
        question = ("context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
        told = self._known_host or self._calls.ask(*question).decode(errors="replace")
        return not any(_is_here(line.strip()) for line in told.splitlines())

    def preflight(self, pieces: Collection[Piece]) -> None:
        """Raise when one of the pieces is missing, forbidden or too old, naming it (faults.md H5). A plugin that was
        found once is not looked for again."""
        docker_preflight.require_programs()
        if Piece.ENGINE in pieces:
            self._platform = docker_preflight.require_engine(self._calls, builds=Piece.BUILDX in pieces)
        for piece in (Piece.BUILDX, Piece.COMPOSE):
            if piece in pieces and piece not in self._found:
                docker_preflight.require_plugin(self._calls, piece)
                self._found.add(piece)

    @property
    def platform(self) -> str:
        """What is built when no platform is asked for, such as ``linux/amd64``: what `DEFAULT_PLATFORM` names, else
        the engine's own, "" when it does not say. As the last preflight saw it, or asked for now. (faults.md H9)"""
        told = os.environ.get(DEFAULT_PLATFORM, "")
        if not (told or self._platform):
            self.preflight((Piece.ENGINE,))
        return told or self._platform

    def containers(
        self, labels: Mapping[str, str] | None = None, *, name: str = "", environment: Collection[str] = ()
    ) -> tuple[Container, ...]:
        """Containers with all of these labels and this name, running or not, with these names of their environment.
        Two calls for any number of them; one that vanishes in between is left out."""
        filters = [f"--filter=label={key}={value}" for key, value in (labels or {}).items()]
        filters += [f"--filter=name=^/{re.escape(name)}$"] if name else []
        ids = self._calls.ids("container", "list", "--quiet", "--no-trunc", "--all", *filters)
        shown = (docker_payloads.container(one, environment) for one in self._calls.inspected("container", ids))
        return tuple(one for one in shown if one is not None and name in {"", one.name})

    def containers_of(self, ids: Collection[str]) -> tuple[Container, ...]:
        """The containers of these ids, whole or abbreviated, without their environments; absent ones are left out. One
        call."""
        shown = (docker_payloads.container(one) for one in self._calls.inspected("container", tuple(ids)))
        return tuple(one for one in shown if one is not None)

    def images(self, references: Collection[str]) -> Mapping[str, EngineImage]:
        """The engine's images by these references or ids; absent ones are left out. One call."""
        wanted = tuple(dict.fromkeys(each for each in references if each))
        return docker_payloads.by_reference(wanted, self._images(wanted))

    def labelled_images(self, label: str) -> tuple[EngineImage, ...]:
        """Every image that has a label of this name. Two calls."""
        return self._images(self._calls.ids("image", "list", "--quiet", "--no-trunc", f"--filter=label={label}"))

    def remote_manifest(self, reference: str) -> RemoteManifest | None:
        """What a registry holds under the reference, asked with the docker command's logins; None when it says that
        there is nothing. Raises `CommandFailed` when it says no, `DeadlinePassed` when it says nothing."""
        words = ("buildx", "imagetools", "inspect", "--format", "{{json .}}", "--", reference)
        seconds = self._deadlines.probe_s
        ended = docker_calls.ended(self._run(words, seconds, False), seconds, log=False)
        if ended.exit_code and any(_NO_MANIFEST.fullmatch(line) for line in ended.lines):
            return None
        self._calls.require_success(ended, seconds, Piece.BUILDX)
        shown = docker_calls.objects("buildx imagetools inspect", ended.output)
        found = docker_payloads.manifest(shown[0]) if shown else None
        if found is None:
            raise docker_failures.of_noise("buildx imagetools inspect", len(ended.output))
        return found

    def build(self, wanted: BuildRequest) -> str:
        """Build with the engine's own BuildKit, whichever builder is the default: no other one sees the engine's images
        as bases. The image's id. Raises `CommandFailed`, `DeadlinePassed`."""
        seconds = self._deadlines.build_s
        stream = self._client(seconds, log=True).buildx.build(
            wanted.context,
            build_args=_arguments(wanted),
            build_contexts=dict(wanted.contexts),
            builder=self._builder,
            cache=wanted.cache,
            file=wanted.dockerfile,
            labels=dict(wanted.labels),
            load=True,
            platforms=[wanted.platform] if wanted.platform else None,
            progress="plain",
            provenance=False,
            tags=list(wanted.tags),
            stream_logs=True,
        )
        lines = (("stdout", line.encode()) for line in cast("Iterable[str]", stream))
        ended = docker_calls.ended(_raw(lines), seconds, log=True)
        self._calls.require_success(ended, seconds, Piece.BUILDX)
        built = self.images(wanted.tags[:1])
        if not built:
            raise docker_failures.unavailable(f"the image {wanted.tags[0]} was built, and is not in the engine")
        image = built[wanted.tags[0]]
        if wanted.created_s not in {None, image.created_s}:
            sentence = f"the engine does not date images by {image_inputs.SOURCE_DATE_EPOCH}: Docker 24 and newer do"
            raise docker_failures.unavailable(sentence)
        return image.id

    def tag(self, image_id: str, reference: str) -> None:
        """Give an image a name. Raises `CommandFailed`, `DeadlinePassed`."""
        self._calls.tell(self._deadlines.probe_s, "image", "tag", "--", image_id, reference)

    def push(self, reference: str) -> None:
        """Push a name. Raises `CommandFailed`, `DeadlinePassed`."""
        self._calls.tell(self._deadlines.push_s, "image", "push", "--", reference)

    def run_service(self, wanted: ServiceRun) -> RunOutcome:
        """Run a compose service and wait for its end; any exit code of its container is a value.

        Raises `NameInUse`, `CommandFailed` when nothing was started, `DeadlinePassed`. Compose ends with the
        container's exit code or with one of its own, which are the same numbers: the engine's events tell them apart
        (contract.md section 8: its exit code decides).
        """
        seconds, call = self._deadlines.provision_s, secrets.token_hex(8)
        stream = self._composer(wanted, seconds, wanted.profile, log=True).compose.run(
            wanted.service,
            name=wanted.name,
            labels={**wanted.labels, LABEL_CALL: call},
            tty=False,
            stream=True,
            remove=True,
            dependencies=wanted.with_deps,
        )
        ended = docker_calls.ended(_raw(cast("Iterable[tuple[str, bytes]]", stream)), seconds, log=True)
        if ended.late:
            raise DeadlinePassed(seconds, ended.lines)
        told = self._calls.fate(f"{LABEL_CALL}={call}") if ended.exit_code else ()
        if ended.exit_code and not told:
            if any(f'"/{wanted.name}" is already in use' in line for line in ended.lines):
                raise NameInUse(ended.exit_code, ended.lines)
            self._calls.require_connection(ended, Piece.COMPOSE)
            if told is not None:
                raise CommandFailed(ended.exit_code, ended.lines)
        return RunOutcome(next((code for code in told or () if code is not None), ended.exit_code), ended.lines)

    def services(self, wanted: ServiceRun, *, profile: str | None) -> tuple[str, ...]:
        """The services that the compose files of a run define: those without a profile and those of this one (``*``: of
        every one). Asks compose and no engine. Raises `CommandFailed` when compose cannot read the files."""
        lines = self._config(wanted, profile, "--services").decode(errors="replace").splitlines()
        names = (line.strip() for line in lines)
        return tuple(sorted({name for name in names if _SERVICE.fullmatch(name)}))

    def definition(
        self, wanted: ServiceRun, *, profile: str | None, interpolate: bool = True
    ) -> compose_definition.Definition:
        """What the compose files of a run define, with the mounts of its service; as they are written, without
        `interpolate`. Asks compose and no engine. Raises `CommandFailed` when compose cannot read the files."""
        raw = () if interpolate else ("--no-interpolate",)
        answer = self._config(wanted, profile, "--format", "json", *raw)
        found = docker_calls.objects("compose config", answer)
        if not found:
            raise docker_failures.of_noise("compose config", len(answer))
        return docker_payloads.definition(found[0], wanted.service)

    def _config(self, wanted: ServiceRun, profile: str | None, *words: str) -> bytes:
        from python_on_whales import utils

        seconds = self._deadlines.probe_s
        command = self._composer(wanted, seconds, profile, log=False).client_config.docker_compose_cmd
        stream = utils.stream_stdout_and_stderr([*command, "config", *words])
        ended = docker_calls.ended(_raw(stream), seconds, log=False)
        if ended.late:
            raise docker_failures.of_deadline("compose config", seconds, self.address)
        self._calls.require_success(ended, seconds, Piece.COMPOSE)
        return ended.output

    def wait(self, container_id: str, *, seconds: float) -> int:
        """Wait for a container's end; its exit code. Raises `DeadlinePassed`, and `CommandFailed` when it is gone."""
        said = self._calls.tell(seconds, "container", "wait", "--", container_id)
        codes = [line for line in said if line.isdecimal()]
        if not codes:
            raise docker_failures.of_noise("container wait", sum(map(len, said)))
        return int(codes[-1])

    def logs(self, container_id: str, *, lines: int) -> tuple[str, ...]:
        """The last lines of a container's output. Raises `CommandFailed`, `DeadlinePassed`."""
        words = ("container", "logs", f"--tail={lines}", "--", container_id)
        return self._calls.tell(self._deadlines.probe_s, *words)[-lines:] if lines > 0 else ()

    def stop(self, container_id: str, *, grace_s: int = 10) -> None:
        """SIGTERM, and SIGKILL after `grace_s`. Raises `CommandFailed`, `DeadlinePassed`."""
        words = ("container", "stop", f"--time={grace_s}", "--", container_id)
        self._calls.tell(grace_s + self._deadlines.probe_s, *words)

    def remove(self, container_id: str) -> None:
        """Remove a container and its nameless volumes, by force; one that is gone is fine. Raises `CommandFailed`,
        `DeadlinePassed`."""
        try:
            words = ("container", "rm", "--force", "--volumes", "--", container_id)
            self._calls.tell(self._deadlines.probe_s, *words)
        except CommandFailed as failed:
            if not any(_NO_CONTAINER.search(line) for line in failed.tail):
                raise

    def _images(self, names: Sequence[str]) -> tuple[EngineImage, ...]:
        shown = (docker_payloads.image(one) for one in self._calls.inspected("image", names))
        return tuple(one for one in shown if one is not None)

    @functools.cached_property
    def _builder(self) -> str | None:
        """The builder of the engine itself has the name of its context; None when docker cannot say it."""
        try:
            return self._calls.ask("context", "show").decode().split()[-1]
        except (errors.ControllerError, UnicodeDecodeError, IndexError):
            return None

    def _run(self, words: Sequence[str], seconds: float, log: bool) -> docker_calls.Raw:
        from python_on_whales import utils

        command = self._client(seconds, log=log).client_config.docker_cmd + list(words)
        return _raw(utils.stream_stdout_and_stderr(command))

    def _composer(
        self, wanted: ServiceRun, seconds: float, profile: str | None, *, log: bool
    ) -> "python_on_whales.DockerClient":
        """A client for the compose project of a run."""
        return self._client(
            seconds,
            log=log,
            environment=wanted.environment,
            compose_files=list(wanted.files),
            compose_profiles=[profile] if profile else [],
            compose_env_files=[wanted.env_file] if wanted.env_file else [],
            compose_project_name=wanted.project,
            compose_project_directory=wanted.project_directory,
        )

    def _client(
        self, seconds: float, *, log: bool, environment: Mapping[str, str] | None = None, **compose: Any
    ) -> "python_on_whales.DockerClient":
        """A client whose every call has this deadline."""
        import python_on_whales

        docker_preflight.require_programs()
        words = docker_child.prefix(seconds, log=log, environment=environment, owner=self._owner)
        return python_on_whales.DockerClient(client_call=words, host=self._host, context=self._context, **compose)


def _is_here(address: str) -> bool:
    """Whether an engine's address, as docker takes it, is on this host. Without a scheme it is TCP."""
    tcp = _TCP.fullmatch(address)
    return bool(_LOCAL.match(address) or (tcp and registry_names.is_loopback(tcp[1])))


def _arguments(wanted: BuildRequest) -> dict[str, str]:
    """The build arguments, with the one that dates the image. It wins over one of that name in this environment, which
    buildx would take instead."""
    dated = {} if wanted.created_s is None else {image_inputs.SOURCE_DATE_EPOCH: str(wanted.created_s)}
    return {**wanted.arguments, **dated}


def _raw(stream: Iterable[tuple[str, bytes]]) -> docker_calls.Raw:
    """Run a command of python-on-whales to its end. It reads line by line; what it can get is bounded already."""
    from python_on_whales import exceptions

    pieces: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
    code, began_s = 0, _MACHINE.monotonic_s()
    try:
        for source, line in stream:
            pieces[source].append(line)
    except exceptions.DockerException as failed:
        code = failed.return_code
    except OSError as error:
        raise docker_failures.unavailable(f"the docker command cannot be run: {error.strerror}") from None
    took_s = _MACHINE.monotonic_s() - began_s
    return docker_calls.Raw(code, b"".join(pieces["stdout"]), b"".join(pieces["stderr"]), took_s)
