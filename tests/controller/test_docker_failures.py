"""What is told of docker's complaints: the cause, and not the sentence that it is buried in (faults.md H2, H5, K1)."""

import re
import subprocess
from pathlib import Path

import pytest

from controller import docker, docker_failures, errors
from tests.fakes import docker_stub

SSH = "ssh://build@edge.example"
REQUEST = 'Get "http://docker.example.com/v1.45/containers/json?filters=%7B%22label%22%3A%7B%22{0}%22%3Atrue%7D%7D": '
SENTENCE = (
    "error during connect: " + REQUEST.format("x" * 200) + "command [ssh -o ConnectTimeout=30 -l build -- edge.example "
    "docker system dial-stdio] has exited with exit status {code}, {advice} the URL is valid, and Docker 18.09 or later "
    "is installed on the remote host: stderr="
)
OLDER = SENTENCE.format(code=255, advice="please make sure")
NEWER = SENTENCE.format(code=255, advice="make sure").replace("=30 -l", "=30 -T -l")
WITHOUT_ASKING = " (it cannot ask here: log in once by hand, as this user and without a password)"
UNKNOWN_HOST = "No ED25519 host key is known for edge.example and you have requested strict checking."
CHANGED_HOST = "Host key for edge.example has changed and you have requested strict checking."
CHANGED = f"""\
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!
Someone could be eavesdropping on you right now (man-in-the-middle attack)!
It is also possible that a host key has just been changed.
The fingerprint for the ED25519 key sent by the remote host is
SHA256:8mCjJ6ycVxZ8mRoPvSJ0DZkJSxKq0e5NPRgRZTmvQpM.
Please contact your system administrator.
Add correct host key in /etc/ssh/known_hosts to get rid of this message.
Offending ED25519 key in /etc/ssh/known_hosts:1
{CHANGED_HOST}
Host key verification failed.
"""
CANARY = "canary-51aa"


def told(complaint: str, address: str = SSH) -> str:
    """The message of an engine that cannot be reached; "" when it can."""
    found = docker_failures.of_connection(complaint.rstrip().split("\n"), address)
    assert found is None or found.reason == "DockerUnavailable"
    return found.message if found else ""


@pytest.mark.parametrize("sentence", [OLDER, NEWER, f"ERROR: {OLDER}", f"Server:\nERROR: {NEWER}"])
@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "build@edge.example: Permission denied (publickey).\n",
            f"build@edge.example: Permission denied (publickey).{WITHOUT_ASKING}",
        ),
        ("Host key verification failed.\n", f"Host key verification failed.{WITHOUT_ASKING}"),
        (
            f"{UNKNOWN_HOST}\nHost key verification failed.\n",
            f"{UNKNOWN_HOST} / Host key verification failed.{WITHOUT_ASKING}",
        ),
        (
            CHANGED,
            f"{CHANGED_HOST} / Host key verification failed.{WITHOUT_ASKING}",
        ),
        (
            "ssh: connect to host edge.example port 22: Connection refused\n",
            "ssh: connect to host edge.example port 22: Connection refused",
        ),
        ("sh: 1: docker: not found\n", "sh: 1: docker: not found"),
        ("Only for the staff.\n\nsh: docker: not found\n\n", "Only for the staff. / sh: docker: not found"),
    ],
)
def test_h5_what_ssh_says_is_told(sentence: str, said: str, shown: str) -> None:
    """And neither the address of the request, nor the command, nor docker's advice."""
    assert told(f"Using default tag: latest\n{sentence}{said}\n") == f"no engine answers at {SSH}: ssh said: {shown}"


def test_h5_an_ssh_that_says_nothing() -> None:
    assert told(f"{NEWER}\n\n") == f"no engine answers at {SSH}: ssh ended without a word"


def test_h5_what_ssh_says_has_an_end() -> None:
    message = told(OLDER + "a" * 5_000)
    assert re.fullmatch(rf"no engine answers at {SSH}: ssh said: a{{299}}…", message)


@pytest.mark.parametrize(
    ("complaint", "shown"),
    [
        (
            'error during connect: Get "https://10.0.0.9:2376/v1.45/version": dial tcp 10.0.0.9:2376: connect: refused',
            "dial tcp 10.0.0.9:2376: connect: refused",
        ),
        (
            'error during connect: Head "http://docker.example.com/_ping": write |1: broken pipe',
            "ssh ended before it took the request; `ssh` to that host by hand shows why",
        ),
        (
            'error during connect: on Windows, it must run elevated: Get "http://x/v1.45/version": open: not found',
            "open: not found",
        ),
        ("error during connect: no request in it", "error during connect: no request in it"),
    ],
)
def test_h5_the_address_of_a_request_is_left_out(complaint: str, shown: str) -> None:
    """However long it is: the engine's is told before. A broken pipe is no cause, but ssh's end."""
    assert told(complaint, "tcp://10.0.0.9:2376") == f"no engine answers at tcp://10.0.0.9:2376: {shown}"


@pytest.mark.parametrize(
    "complaint",
    [f"#7 0.2 {OLDER}Host key verification failed.", f"{OLDER}Host key verification failed." + "\n#7 0.2 more" * 50],
)
def test_the_words_of_a_program_are_no_missing_engine(complaint: str) -> None:
    """Counter-check: a step of a build that uses docker over ssh itself."""
    assert told(complaint) == ""


@pytest.fixture
def real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The real docker command, before which the test puts an ssh of its own; the path of that one."""
    try:
        subprocess.run(["docker", "--version"], check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("needs the docker command")
    stub = docker_stub.DockerStub(tmp_path / "stub").first_on(monkeypatch)
    (stub.folder / "bin" / "docker").unlink()
    return stub.folder / "bin" / "ssh"


@pytest.mark.parametrize("words", ["Permission denied (publickey).", "Host key verification failed.", CHANGED])
@pytest.mark.engine
def test_h2_k1_as_the_real_command_puts_it(real: Path, words: str) -> None:
    """H5 in the words of this machine's docker; a question and a task end alike, and what is secret stays hidden."""
    banner = f"welcome, your password={CANARY}\n"
    (real.parent / "said").write_text(banner + words.rstrip() + "\n", encoding="utf-8")
    # It takes the request first, as ssh does, which connects meanwhile.
    real.write_text('#!/bin/sh\nhead -c 1 >/dev/null\ncat "${0%/*}/said" >&2\nexit 255\n', encoding="utf-8")
    real.chmod(0o755)
    engine = docker.Engine(host=SSH)
    for act in (engine.containers, lambda: engine.push("a:1"), lambda: engine.preflight([docker.Piece.ENGINE])):
        with pytest.raises(errors.ControllerError) as caught:
            act()
        assert caught.value.reason == "DockerUnavailable"
        assert f"{words.rstrip().splitlines()[-1]}{WITHOUT_ASKING}" in caught.value.message
        assert CANARY not in caught.value.message
        assert "docker.example.com" not in caught.value.message
