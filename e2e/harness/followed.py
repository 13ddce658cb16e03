"""A stack whose controller follows a repository: pushes, deliveries, and what CONFIG_DIR shows of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.harness import artifacts, commands, git_remote, marked, matrix, stacks

_SETTINGS = """\
config_dir: {config_dir}
state_dir: {state_dir}
source:
  git:
    url: {url}
    path: deploy
    accept: [{accept}]
    verify:
      policy: head
      allowed_signers_file: {signers}
"""


@dataclass(frozen=True)
class Followed:
    """A repository with the small artifact, and the stack that is to follow it."""

    stack: stacks.Stack
    controller: commands.Controller
    repository: git_remote.Repository
    artifact: artifacts.Artifact

    @property
    def state_dir(self) -> Path:
        """Record and clone, beside CONFIG_DIR."""
        return self.stack.folder / "state"

    @property
    def settings(self) -> Path:
        """The controller.yml."""
        return self.stack.folder / "controller.yml"

    @property
    def config_dir(self) -> Path:
        """CONFIG_DIR."""
        return self.stack.config_dir

    def configure(self, *, accept: str = "") -> None:
        """Write the settings."""
        text = _SETTINGS.format(
            config_dir=self.config_dir,
            state_dir=self.state_dir,
            url=self.repository.url,
            signers=self.repository.signers,
            accept=accept,
        )
        self.settings.write_text(text, encoding="utf-8")

    @property
    def options(self) -> tuple[str, ...]:
        """The options that name source and target."""
        return ("--config", str(self.settings))

    def push(self, *, mark: int, table: int) -> str:
        """Push documents with these marks, signed; the commit."""
        marked.write(self.artifact, mark=mark, table=table)
        return self.repository.push()

    @property
    def shown(self) -> marked.Marks:
        """The marks that CONFIG_DIR shows."""
        return marked.shown(self.config_dir)

    def answer(self, text: str) -> str:
        """What a request to the function gets, once it is this text or time is over."""
        return self.stack.gateway.until(lambda answer: answer.text.strip() == text, "/hello").text.strip()


@contextmanager
def repository(
    stack: stacks.Stack, controller: commands.Controller, environment: matrix.Environment, folder: Path
) -> Iterator[Followed]:
    """A remote with the small artifact in its first, signed commit."""
    with git_remote.serving(folder) as remote:
        followed = Followed(stack, controller, remote, marked.small(environment, remote.source))
        followed.configure()
        remote.push()
        yield followed
