"""Images that somebody else makes, and services of a running stack that are made anew from them."""

import contextlib
from collections.abc import Iterator

from e2e.harness import docker, stacks


def derived(stack: stacks.Stack, base: str, line: str, name: str) -> str:
    """An image of the engine, built on another one as anybody would, with one line more; its name, which begins with
    the stack's project."""
    whole = f"{stack.project}-{name}"
    folder = stack.folder / "derived" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Dockerfile").write_text(f"FROM {base}\n{line}\n", encoding="utf-8")
    docker.docker("build", "--quiet", "--provenance=false", "--tag", whole, str(folder))
    return whole


@contextlib.contextmanager
def service(stack: stacks.Stack, name: str) -> Iterator[None]:
    """What a test does to this service ends with the block: then it is made from its own image again."""
    try:
        yield
    finally:
        stack.compose("up", "--detach", "--no-deps", "--force-recreate", name)


def put(stack: stacks.Stack, name: str, image: str) -> None:
    """Make a service's container anew from this image, and leave the others alone."""
    more = stack.folder / f"{name}.yml"
    more.write_text(f"services:\n  {name}:\n    image: {image}\n", encoding="utf-8")
    files = [part for file in (*stack.files, more) for part in ("--file", str(file))]
    project = ["--project-name", stack.project, "--env-file", str(stack.env_file)]
    docker.docker("compose", *files, *project, "up", "--detach", "--no-deps", "--pull", "never", name)
