"""HTTP for tests: one request, one answer, no exception for a status."""

import http.client
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Any


@dataclass(frozen=True)
class Answer:
    """Status and text of an answer."""

    status: int
    text: str
    headers: Mapping[str, str]

    def json(self) -> Any:
        """The text, read as JSON."""
        return json.loads(self.text)


@dataclass(frozen=True)
class Client:
    """Asks one server on this host."""

    port: int

    def ask(self, method: str, path: str, *, body: str = "", headers: Mapping[str, str] | None = None) -> Answer:
        """One request on a connection of its own. Raises OSError when nobody listens."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body=body.encode() or None, headers=dict(headers or {}))
            answer = connection.getresponse()
            return Answer(answer.status, answer.read().decode(errors="replace"), dict(answer.headers))
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        """One GET."""
        return self.ask("GET", path)

    def until(
        self, expected: Callable[[Answer], bool], path: str, *, method: str = "GET", seconds: float = 90
    ) -> Answer:
        """Ask until the answer is as expected, three times in a row: the gateway's processes reload on clocks of their
        own (consumers.md GW1). Returns the last answer either way; the test asserts on it."""
        end, in_a_row, answer = monotonic() + seconds, 0, self.ask(method, path)
        while monotonic() < end:
            in_a_row = in_a_row + 1 if expected(answer) else 0
            if in_a_row == 3:
                break
            if not in_a_row:
                sleep(0.1)
            answer = self.ask(method, path)
        return answer
