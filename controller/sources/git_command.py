"""The git command as a child: the only place that runs it (faults.md E2, E5, E8, P8, P13).

Owns what git may read and do: no configuration but ours, no hooks, no helper programs, no prompt, one transport. Our
configuration, credentials included, is a file in memory that only git and its own transport inherit; nothing of it
stands in an argument, an environment or on the disk. All calls of one look share a deadline, after which the whole
process group is gone; outputs have a bounded size. Knows nothing of what is fetched.
"""

import base64
import os
import re
import selectors
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from controller import clock, docker_output, errors, lifeline

LONGEST_ANSWER = 64 * 1024 * 1024
"""Bytes of an answer that are read: the names of a million files."""

_LONGEST_COMPLAINT = 16 * 1024
_KILL_AFTER_S = 2.0
_SLICE_S = 0.2
_CHUNK = 1 << 16
_LATE = 124
"""What `timeout` ends with, unless it went with its group."""
_KILLED = frozenset({-signal.SIGKILL, 128 + signal.SIGKILL})
_ABSENT = 127
_SHORTEST_S = 0.05  # to timeout, 0 would mean "no deadline"
_WATCHED = 'ulimit -f @BLOCKS@; "$@"; code=$?'
_BLOCK = 512
"""Bytes, of `ulimit -f` in a shell that is called sh."""
_TOO_LARGE = re.compile(r"died of signal 25|File size limit exceeded|File too large")
_ADVICE = ("Please make sure you have the correct access rights", "and the repository exists")
_LONGEST_TRACE = 64 * 1024
_RETRY_AFTER = re.compile(rb"<= Recv header: retry-after:[ \t]*([0-9]{1,6})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Access:
    """How the remote is reached. `scheme` is the only transport that is allowed."""

    url: str
    scheme: str
    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: Path | None = None
    proxy: str = field(default="", repr=False)
    ssh_key_file: Path | None = None
    known_hosts_file: Path | None = None


class GitFailed(Exception):
    """Git said no. `said` is the end of its complaints, cleaned; `late` says that the deadline ended it;
    `retry_after_s` is what an HTTP server asked for, 0 for nothing."""

    def __init__(self, code: int, said: str, *, late: bool = False) -> None:
        super().__init__(said)
        self.code = code
        self.said = said
        self.late = late
        self.retry_after_s = 0.0

    @property
    def too_large(self) -> bool:
        """Whether a file became larger than it may."""
        return bool(_TOO_LARGE.search(self.said))


def _go_on() -> None:
    """A `check` that never ends anything."""


@dataclass(frozen=True, slots=True)
class _Call:
    """One start of git: its words, its settings, its input, and a descriptor that its transport's headers go to."""

    words: tuple[str, ...]
    repository: Path | None
    settings: Mapping[str, str]
    environment: Mapping[str, str]
    given: bytes | None = None
    trace: int | None = None


@dataclass(frozen=True, slots=True)
class Git:
    """Runs git. `home` is an existing folder of our own; `until_s`, on the monotonic clock, is the end of all calls
    together, `deadline_s` is how that is told; `check` raises when the work should end; `counted` hears the name of
    each command. No file that git writes becomes larger than `most_bytes`, whatever a remote sends."""

    access: Access
    home: Path
    deadline_s: float
    until_s: float
    check: Callable[[], None] = _go_on
    counted: Callable[[str], object] = str
    machine: clock.Clock = clock.Clock()
    most_bytes: int = 1 << 40

    def answer(
        self,
        *words: str,
        repository: Path | None = None,
        network: bool = False,
        options: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> bytes:
        """What git prints. `options` are further settings for this call. Raises `GitFailed`, and `ControllerError` when
        there is no git."""
        given = {**self._settings(repository, network), **(options or {})}
        variables = {**self._environment(network), **_commanded(given), **(environment or {})}
        if not network or self.access.scheme not in ("http", "https"):
            return self._read(_Call(words, repository, given, variables))
        trace = _in_memory("git-trace", b"")
        try:
            return self._read(_Call(words, repository, {**given, **self._of_http()}, variables, trace=trace))
        except GitFailed as failed:
            failed.retry_after_s = _retry_after_s(trace)
            raise
        finally:
            os.close(trace)

    @contextmanager
    def stream(self, *words: str, repository: Path, given: bytes = b"") -> Iterator[IO[bytes]]:
        """What git prints, while it prints it; `given` is its input. Raises `GitFailed` after the block when git did
        not end well, and in place of one of the block's own when the deadline has cut the stream."""
        settings = self._settings(repository, network=False)
        call = _Call(words, repository, settings, {**self._environment(False), **_commanded(settings)}, given)
        try:
            with self._running(call) as child:
                assert child.stdout is not None  # noqa: S101 - a pipe was asked for
                assert child.stderr is not None  # noqa: S101
                with child.stdout:
                    yield child.stdout
                said = child.stderr.read(_LONGEST_COMPLAINT)
                if code := child.wait():
                    raise GitFailed(code, self._shown(said))
        except GitFailed as failed:
            if not failed.late and self.machine.monotonic_s() >= self.until_s:
                raise self._late() from None
            raise

    def _late(self) -> GitFailed:
        return GitFailed(-1, f"no end within {self.deadline_s:g} s", late=True)

    @property
    def _left_s(self) -> float:
        """What is left of the deadline. Raises `GitFailed` when that is nothing."""
        left_s = self.until_s - self.machine.monotonic_s()
        if left_s <= 0:
            raise self._late()
        return max(left_s, _SHORTEST_S)

    @contextmanager
    def _running(self, call: _Call) -> Iterator["subprocess.Popen[bytes]"]:
        bounded = _WATCHED.replace("@BLOCKS@", str(self.most_bytes // _BLOCK))
        watched = ["timeout", "-k", "2", f"{self._left_s:.3f}", "sh", "-c", lifeline.script(bounded), "sh"]
        self.counted(call.words[0])
        configuration = _in_memory("git-config", "".join(map(_line, call.settings.items())).encode())
        source = _in_memory("git-input", call.given) if call.given is not None else os.open(os.devnull, os.O_RDONLY)
        place = [f"--git-dir={call.repository}"] if call.repository else []
        variables = {**call.environment, "GIT_CONFIG_GLOBAL": f"/proc/self/fd/{configuration}"}
        if call.trace is not None:  # git hides headers elsewhere; it leaves out those that authorise
            variables |= {"GIT_TRACE_CURL": f"/proc/self/fd/{call.trace}", "GIT_TRACE_CURL_NO_DATA": "1"}
        inherited = (configuration,) if call.trace is None else (configuration, call.trace)
        try:
            child = subprocess.Popen(  # noqa: S603 - the words are ours, what is not is behind "--" or a hex id
                [*watched, "git", *place, *call.words],
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=self.home,
                env=variables,
                start_new_session=True,
                pass_fds=inherited,
            )
        except FileNotFoundError:
            raise _no_git() from None
        finally:
            os.close(configuration)
            os.close(source)
        try:
            yield child
        finally:
            _end(child)

    def _read(self, call: _Call) -> bytes:
        """Run it to its end; what it printed."""
        with self._running(call) as child:
            return self._printed(child)

    def _printed(self, child: "subprocess.Popen[bytes]") -> bytes:
        """Both outputs to their end, bounded, until the deadline."""
        assert child.stdout is not None  # noqa: S101 - pipes were asked for
        assert child.stderr is not None  # noqa: S101
        kept: dict[int, bytearray] = {child.stdout.fileno(): bytearray(), child.stderr.fileno(): bytearray()}
        with child.stdout, child.stderr, selectors.DefaultSelector() as waiting:
            for stream in (child.stdout, child.stderr):
                waiting.register(stream, selectors.EVENT_READ)
            while waiting.get_map():
                self.check()
                if self.machine.monotonic_s() > self.until_s:
                    raise self._late()
                for key, _ in waiting.select(_SLICE_S):
                    chunk = os.read(key.fd, _CHUNK)
                    kept[key.fd] += chunk
                    if not chunk:
                        waiting.unregister(key.fileobj)
                if len(kept[child.stdout.fileno()]) > LONGEST_ANSWER:
                    raise GitFailed(-1, f"an answer of more than {LONGEST_ANSWER >> 20} MiB")
                complaints = kept[child.stderr.fileno()]
                del complaints[:-_LONGEST_COMPLAINT]
            said, answer = bytes(kept[child.stderr.fileno()]), bytes(kept[child.stdout.fileno()])
        code = child.wait()
        if code == _LATE or (code in _KILLED and self.machine.monotonic_s() >= self.until_s - _SHORTEST_S):
            raise self._late()
        if code == _ABSENT:
            raise _no_git()
        if code:
            raise GitFailed(code, self._shown(said))
        return answer

    def _shown(self, said: bytes) -> str:
        """The lines that matter, without what may be secret."""
        hidden = [one for one in (self.access.password, self.access.proxy) if one]
        lines = [docker_output.cleaned(line, hidden) for line in said.splitlines()]
        lines = [line for line in lines if line and not line.startswith(_ADVICE)]
        telling = [line for line in lines if line.startswith(("fatal:", "error:", "remote:"))]
        if not telling or self.access.scheme == "ssh":  # ssh says why in words of many forms
            telling = lines
        return "; ".join(telling[-4:])[:600]

    def _environment(self, network: bool) -> dict[str, str]:
        found = {
            **lifeline.sparse(HOME=str(self.home), TMPDIR=str(self.home)),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "",
            "SSH_ASKPASS": "",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_ADVICE": "0",
        }
        if network and self.access.scheme == "ssh":
            found |= {"GIT_SSH_COMMAND": self._ssh(), "GIT_SSH_VARIANT": "ssh"}
        return found

    def _ssh(self) -> str:
        """No configuration, no agent's other keys, no unknown host, no question."""
        options = {
            "BatchMode": "yes",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": _ssh_path(self.access.known_hosts_file or Path(os.devnull)),
            "GlobalKnownHostsFile": os.devnull,
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "PermitLocalCommand": "no",
            "ProxyCommand": "none",
            "ConnectTimeout": str(max(1, int(self.deadline_s))),
        }
        if self.access.ssh_key_file:  # not -i, which looks for the file as it is written, and reads it as a pattern
            options["IdentityFile"] = _ssh_path(self.access.ssh_key_file)
        words = (word for name, value in options.items() for word in ("-o", f"{name}={value}"))
        return shlex.join(["ssh", "-F", os.devnull, *words])

    def _settings(self, repository: Path | None, network: bool) -> dict[str, str]:
        """What git may do; nothing secret. Local commands may use no transport at all: nothing that is missing is
        fetched behind our back."""
        allowed = self.access.scheme if network else "none"
        return {
            "core.hookspath": os.devnull,
            "core.fsmonitor": "false",
            "core.symlinks": "false",
            "core.attributesfile": os.devnull,
            "credential.helper": "",
            "protocol.allow": "never",
            f"protocol.{allowed}.allow": "always",
            "gc.auto": "0",
            "maintenance.auto": "false",
            "fetch.recursesubmodules": "false",
            "transfer.credentialsinurl": "die",
            "http.followredirects": "false",
            "http.lowspeedlimit": "1",
            "http.lowspeedtime": str(max(1, int(self.deadline_s))),
            "safe.directory": "*" if network and self.access.scheme == "file" else str(repository or self.home),
            "advice.detachedhead": "false",
        }

    def _of_http(self) -> dict[str, str]:
        access, found = self.access, {}
        if access.scheme not in ("http", "https"):
            return {}
        if access.password:
            pair = base64.b64encode(f"{access.username or 'git'}:{access.password}".encode()).decode()
            origin = re.match(r"[a-z]+://[^/]+/", access.url)
            found[f"http.{origin[0] if origin else access.url}.extraheader"] = f"Authorization: Basic {pair}"
        if access.ca_file is not None:
            found["http.sslcainfo"] = str(access.ca_file)
        if access.proxy:
            found["http.proxy"] = access.proxy
        return found


def _no_git() -> errors.ControllerError:
    return errors.ControllerError("SourceUnavailable", "there is no git command here: install git")


def _ssh_path(path: Path) -> str:
    """A path in an option of ssh, which splits it at spaces, and puts the host's name and the like in place of %h."""
    quoted = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{quoted}"'


def _commanded(settings: Mapping[str, str]) -> dict[str, str]:
    """The settings once more, as if they stood in the command: our file ranks below that of a clone, these above it
    (faults.md E5). Git withholds them from a repository at the other end of a pipe, which the file reaches."""
    found = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (name, value) in enumerate(settings.items()):
        found |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return found


def _line(setting: tuple[str, str]) -> str:
    """One setting as git's own files have it; the middle of a name may contain anything but a line break."""
    name, value = setting
    section, _, rest = name.partition(".")
    middle, _, key = rest.rpartition(".")
    quoted = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    place = '{} "{}"'.format(section, middle.replace("\\", "\\\\").replace('"', '\\"')) if middle else section
    return f'[{place}]\n\t{key} = "{quoted}"\n'


def _retry_after_s(trace: int) -> float:
    """What the server's last answer that says so asks for, in seconds; 0 for nothing."""
    size = os.fstat(trace).st_size
    found = _RETRY_AFTER.findall(os.pread(trace, _LONGEST_TRACE, max(0, size - _LONGEST_TRACE)))
    return float(found[-1]) if found else 0.0


def _in_memory(name: str, content: bytes) -> int:
    """A descriptor of a file that exists nowhere else, read from its beginning by whoever opens it by /proc."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC)
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _end(child: "subprocess.Popen[bytes]") -> None:
    """The whole group is gone afterwards, and nothing is left to reap."""
    for stream in (child.stdout, child.stderr):
        if stream is not None and not stream.closed:
            stream.close()
    for number, seconds in ((0, 0.0), (signal.SIGTERM, _KILL_AFTER_S), (signal.SIGKILL, None)):
        if child.poll() is not None:
            break
        try:
            os.killpg(child.pid, number)
            child.wait(seconds)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
