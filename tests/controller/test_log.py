"""The log of a running controller (faults.md K1, K2, K3)."""

import io
import json
import os
import re
import threading
from typing import Any

import pytest

from controller import log, settings_sections


def _written(level: str, event: str, *, format_: str = "json", stream: io.StringIO | None = None, **fields: Any) -> str:
    stream = stream or io.StringIO()
    opened = log.Log(settings_sections.Log.model_validate({"format": format_}), stream)
    opened.start()
    opened.write(level, event, **fields)
    opened.stop()
    return stream.getvalue()


def test_one_line_of_json_with_time_and_level() -> None:
    line = _written("info", "pass", run="a-1", phases={"fetch": 0.01}, causes=["files"], failed=False)
    told = json.loads(line)
    assert line.count("\n") == 1
    assert told["level"] == "info"
    assert told["event"] == "pass"
    assert told["phases"] == {"fetch": 0.01}
    assert told["timestamp"].endswith("Z")


@pytest.mark.parametrize("format_", ["json", "console"])
def test_k2_control_characters_and_line_breaks_are_neutral(format_: str) -> None:
    line = _written("error", "pass", format_=format_, message="a\nb\x1b[31mred\u202e\x00", name="x" * 100_000)
    assert line.count("\n") == 1
    assert not any(character in line for character in ("\x1b[31m", "\u202e", "\x00"))
    assert len(line) < 10_000


def test_k1_values_of_secret_keys_and_passwords_in_addresses_are_not_written() -> None:
    canary = "c4n4ry-value"
    line = _written(
        "info",
        "x",
        password=canary,
        webhook_secret=canary,
        url=f"https://me:{canary}@localhost/x",
        nested={"api_key": canary, "headers": [f"Authorization: Bearer {canary}"]},
    )
    assert canary not in line


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_colour_on_a_terminal_only_where_it_is_wanted(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], coloured: bool
) -> None:
    for name in ("TERM", "NO_COLOR", "CLICOLOR_FORCE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    line = _written("error", "pass", format_="auto", stream=_Terminal(), outcome="SourceRefused")
    assert ("\x1b[" in line) == coloured
    assert "error" in re.sub(r"\x1b\[[\d;]*m", "", line), "the level is a word too"


def test_a_lower_level_is_not_written() -> None:
    assert _written("debug", "looked") == ""


def _write_much(opened: log.Log) -> None:
    for _ in range(3 * log.QUEUED):
        opened.write("info", "x" * 500)


def test_k3_a_reader_that_takes_nothing_holds_up_nobody() -> None:
    """Lines are dropped and counted; the end does not wait for ever either."""
    reading, writing = os.pipe()
    stream = os.fdopen(writing, "w")
    opened = log.Log(settings_sections.Log(format="json"), stream)
    opened.start()
    writer = threading.Thread(target=_write_much, args=(opened,))
    writer.start()
    writer.join(timeout=60)
    assert not writer.is_alive()
    assert opened.dropped > 0
    os.close(reading)
    opened.stop()
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_k3_a_reader_that_went_away_is_no_failure() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w")
    opened = log.Log(settings_sections.Log(format="json"), stream)
    opened.start()
    opened.write("info", "nobody hears this")
    opened.stop()
    with pytest.raises(BrokenPipeError):
        stream.close()
