"""A small artifact whose three documents carry marks, and a reader that finds out whether they belong together.

One function that is built, one route, one table. The function's environment names two numbers: MARK, which the route
carries too, and TABLE, which the table carries. So a reader that holds three documents knows which of them were written
together, whatever the controller did in between.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import yaml

from e2e.harness import artifacts, matrix

_FUNCTIONS = """\
functions:
  hello:
    image: "registry:5010/e2e-hello:latest"
    environment: {{MARK: "{mark}", TABLE: "{table}"}}
"""
_ROUTES = """\
routes:
  - {{path: "/hello", method: "GET", function: "hello"}}
  - {{path: "/mark", method: "GET", function: "hello", mark: "{mark}"}}
"""
_RESOURCES = """\
resources:
  dynamodb:
    - TableName: e2e-marked
      KeySchema: [{{AttributeName: id, KeyType: HASH}}]
      AttributeDefinitions: [{{AttributeName: id, AttributeType: S}}]
      BillingMode: PAY_PER_REQUEST
      Mark: "{table}"
"""


def small(environment: matrix.Environment, source: Path) -> artifacts.Artifact:
    """The environment's artifact without its jobs, and of its functions "hello" only."""
    artifact = artifacts.Artifact.copied(environment, source)
    text = artifact.manifest.read_text(encoding="utf-8")
    end = text.index("generator:")
    artifact.manifest.write_text(text[: text.index("  - id: jobs-")] + text[end:], encoding="utf-8")
    write(artifact, mark=0, table=0)
    return artifact


def write(artifact: artifacts.Artifact, *, mark: int, table: int) -> None:
    """Put the marks into the three documents."""
    texts = {"functions.yml": _FUNCTIONS, "routing.yml": _ROUTES, "resources.yml": _RESOURCES}
    for name, text in texts.items():
        artifact.document("api", name).write_text(text.format(mark=mark, table=table), encoding="utf-8")


class Marks(NamedTuple):
    """What the three documents say: the function's two marks, the route's, the table's."""

    function: int
    function_table: int
    route: int
    table: int

    @property
    def complete(self) -> bool:
        """Whether all belong to one set."""
        return (self.function, self.function_table) == (self.route, self.table)

    @property
    def mixed(self) -> bool:
        """Whether this can be no generation: function and route are always of one set; the table may be ahead of them,
        while the provisioner makes it, and never behind."""
        return self.function != self.route or self.table < self.function_table


def shown(config_dir: Path) -> Marks:
    """The marks of the generation that CONFIG_DIR shows: all three documents through one reading of its link."""
    while True:
        generation = os.readlink(config_dir / "..data")
        try:
            documents = {
                name: yaml.safe_load((config_dir / generation / f"{name}.yml").read_bytes())
                for name in ("functions", "routing", "resources")
            }
        except FileNotFoundError:  # an old one, swept meanwhile
            if os.readlink(config_dir / "..data") == generation:
                raise
            continue
        environment = documents["functions"]["functions"]["hello"]["environment"]
        route = next(one for one in documents["routing"]["routes"] if one["path"] == "/mark")
        table = documents["resources"]["resources"]["dynamodb"][0]
        return Marks(int(environment["MARK"]), int(environment["TABLE"]), int(route["mark"]), int(table["Mark"]))


@dataclass
class Reader:
    """Reads all the time, in a thread of its own."""

    config_dir: Path
    seen: list[Marks] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    readings: int = 0
    _over: threading.Event = field(default_factory=threading.Event)

    def read(self) -> None:
        """Until it is over; notes what is new, and what nobody may ever see."""
        while not self._over.wait(0.003):
            try:
                marks = shown(self.config_dir)
            except Exception as problem:  # noqa: BLE001 - whatever a reader stumbles over is a finding
                self.problems.append(repr(problem))
                continue
            self.readings += 1
            if marks.mixed:
                self.problems.append(repr(marks))
            if not self.seen or self.seen[-1] != marks:
                self.seen.append(marks)


@contextmanager
def reading(config_dir: Path) -> Iterator[Reader]:
    """A reader for as long as the block runs."""
    reader = Reader(config_dir)
    thread = threading.Thread(target=reader.read, daemon=True)
    thread.start()
    try:
        yield reader
    finally:
        reader._over.set()  # noqa: SLF001 - of its own module
        thread.join()
