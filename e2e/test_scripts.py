"""The scripts that set the stage, as far as they can be tried without an engine and without a network."""

import os
import tomllib
from pathlib import Path

import pytest

from e2e.scripts import debian_packages, engine

DEB822 = """\
# a comment
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/some.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
"""
ONE_LINE = """\
deb [arch=amd64,i386 signed-by=/etc/keys/a.gpg] http://mirror.example/debian bookworm main contrib # primary
deb-src http://mirror.example/debian bookworm main
deb http://mirror.example/debian-security bookworm-security main
"""


def test_a_second_release_comes_from_where_the_first_one_does(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "debian.sources").write_text(DEB822, encoding="utf-8")
    assert debian_packages.sources("bookworm", "trixie", tmp_path) == (
        "Types: deb\nURIs: http://mirror.example/debian\nSuites: trixie\nComponents: main\n"
        "Signed-By: /usr/share/keyrings/some.gpg\n"
    )


def test_sources_of_the_old_form_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text(ONE_LINE, encoding="utf-8")
    assert debian_packages.sources("bookworm", "trixie", tmp_path) == (
        "Types: deb\nURIs: http://mirror.example/debian\nSuites: trixie\nComponents: main contrib\n"
        "Architectures: amd64 i386\nSigned-By: /etc/keys/a.gpg\n"
    )


@pytest.mark.parametrize(
    "text", ["", DEB822.replace("Types", "Enabled: no\nTypes", 1), DEB822.replace("bookworm", "sid")]
)
def test_no_source_of_the_suite_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "debian.sources").write_text(text, encoding="utf-8")
    with pytest.raises(debian_packages.PackagesUnavailable, match=r"no source .* is of the suite bookworm"):
        debian_packages.sources("bookworm", "trixie", tmp_path)


def test_a_wrong_command_is_told_the_right_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert engine.main(["restart"]) == 64
    assert "install" in capsys.readouterr().err


def test_stop_leaves_a_stranger_with_the_number_of_the_pid_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number may be another process by now: this test's own one, which goes on."""
    monkeypatch.setenv("ENGINE_DIR", str(tmp_path))
    (tmp_path / "dockerd.pid").write_text(str(os.getpid()), encoding="ascii")
    assert engine.main(["stop"]) == 0
    assert not (tmp_path / "dockerd.pid").exists()


def test_a_path_too_long_for_a_socket_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without an engine and as root, `start` gets as far as this; elsewhere it says what comes before."""
    monkeypatch.setenv("ENGINE_DIR", str(tmp_path / ("x" * 100)))
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent.sock")
    monkeypatch.setenv("PATH", str(tmp_path))
    dockerd = tmp_path / "dockerd"
    dockerd.write_text("#!/bin/false\n", encoding="utf-8")
    dockerd.chmod(0o755)
    assert engine.main(["start"]) == 69
    assert any(words in capsys.readouterr().err for words in ("too long for a socket", "runs as root"))


def test_the_engine_s_containerd_is_its_own(tmp_path: Path) -> None:
    """It listens to, keeps and leaves nothing outside of the folder, so that another one on the machine, or what is
    left of it, is in nobody's way; and it is found by `stop`, by the path of its settings."""
    layout = engine.Layout(tmp_path / 'a "quoted" folder')
    path = engine.containerd_settings(layout)
    settings = tomllib.loads(path.read_text(encoding="utf-8"))
    places = [settings["root"], settings["state"], settings["grpc"]["address"], settings["debug"]["address"]]
    assert [place for place in places if not Path(place).is_relative_to(layout.home)] == []
    assert settings["grpc"]["address"] == layout.exports()["CONTAINERD_ADDRESS"]
    assert settings["root"] == layout.exports()["CONTAINERD_ROOT"]
    assert path.is_relative_to(layout.home / "exec")
