"""The committed artifact in a copy that a test may edit, and what an applier of the plainest kind makes of it.

The plain applier sets a stage for tests of the stack itself; what is under test elsewhere is the controller.
"""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from e2e.harness import docker, matrix, stacks

E2E = stacks.STACK.parent


@dataclass(frozen=True)
class Artifact:
    """A copy of one environment's artifact. `source` is the folder to watch, `manifest` its artifact.yml."""

    source: Path
    manifest: Path

    @classmethod
    def copied(cls, environment: matrix.Environment, source: Path) -> "Artifact":
        """Copy the manifest and the roots it names into `source`, laid out as they are committed."""
        manifest = source / environment.artifact.relative_to(E2E)
        manifest.parent.mkdir(parents=True)
        shutil.copyfile(environment.artifact, manifest)
        shutil.copytree(E2E / "artifacts" / "main", source / "artifacts" / "main")
        return cls(source, manifest)

    def function(self, name: str) -> Path:
        """The folder of a function: Dockerfile and src/."""
        return next((self.source / "artifacts" / "main").glob(f"*/functions/{name}"))

    def functions(self) -> tuple[str, ...]:
        """Names of all functions with a Dockerfile, in order."""
        found = (self.source / "artifacts" / "main").glob("*/functions/*/Dockerfile")
        return tuple(sorted(file.parent.name for file in found))

    def code(self, name: str, text: str) -> None:
        """Give a function another handler: a line of shell."""
        (self.function(name) / "src" / "handler.sh").write_text(f"{text}\n", encoding="utf-8")

    def document(self, entry: str, name: str) -> Path:
        """One of an entry's documents, such as ("api", "routing.yml")."""
        return self.source / "artifacts" / "main" / entry / "config" / name


def apply_plainly(artifact: Artifact, stack: stacks.Stack, *, functions: tuple[str, ...]) -> None:
    """Build and push some functions with plain docker commands and copy the documents of the entry "api"."""
    for name in functions:
        folder = artifact.function(name)
        text = (
            (folder / "Dockerfile").read_text(encoding="utf-8").replace("registry:5010/", f"{stack.registry.address}/")
        )
        dockerfile = stack.folder / f"{name}.Dockerfile"
        dockerfile.write_text(re.sub(r"^# syntax=.*\n", "", text), encoding="utf-8")
        target = f"{stack.registry.address}/e2e-{name}:latest"
        command = ["build", "--quiet", "--provenance=false", "--tag", target, "--file", str(dockerfile)]
        docker.docker(*command, str(folder.parent.parent))
        docker.docker("push", "--quiet", target)
    for document in ("functions.yml", "routing.yml", "resources.yml"):
        shutil.copyfile(artifact.document("api", document), stack.config_dir / document)
