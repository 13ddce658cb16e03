"""A running stack to try the controller on: `python -m e2e.scripts.sandbox up|down [FOLDER]`.

`up` makes FOLDER (default: `sandbox`) with the sample artifact, a `controller.yml` and an empty CONFIG_DIR, and starts
the stack of the end-to-end tests beside it; `down` removes the stack again, and leaves the folder. Wants an engine that
answers: `make engine`.
"""

import json
import shutil
import sys
from pathlib import Path

from e2e.harness import artifacts, matrix, stacks

SETTINGS = """\
source: {{directory: {{path: source}}}}
manifest: {{path: {manifest}}}
config_dir: config
stack:
  project: {project}
  compose_files: [{compose}]
  env_file: stack.env
  config_dir_on_host: {config_dir}
registry: {{runtime: "registry:5010", host: "{registry}"}}
"""


def make(folder: Path) -> stacks.Stack:
    """The folder with everything but the running stack."""
    environment = next(each for each in matrix.load() if each.name == "docker")
    folder.mkdir(parents=True)
    artifact = artifacts.Artifact.copied(environment, folder / "source")
    stack = stacks.Stack("docker", folder, folder / "config")
    (folder / "controller.yml").write_text(
        SETTINGS.format(
            manifest=artifact.manifest.relative_to(artifact.source),
            project=stack.project,
            compose=json.dumps(str(stack.files[0])),
            config_dir=json.dumps(str(stack.config_dir)),
            registry=stack.registry.address,
        ),
        encoding="utf-8",
    )
    (folder / "gateway").write_text(f"http://127.0.0.1:{stack.settings['GATEWAY_PORT']}\n", encoding="utf-8")
    remembered = {"project": stack.project, "settings": stack.settings}
    (folder / "stack.json").write_text(json.dumps(remembered), encoding="utf-8")
    return stack


def main(arguments: list[str]) -> int:
    """Run one command."""
    if not arguments or arguments[0] not in ("up", "down") or len(arguments) > 2:
        print(__doc__, file=sys.stderr)
        return 64
    folder = Path(arguments[1] if len(arguments) == 2 else "sandbox").resolve()
    if arguments[0] == "down":
        known = json.loads((folder / "stack.json").read_text(encoding="utf-8"))
        stacks.Stack("docker", folder, folder / "config", **known).down()
        return 0
    if folder.exists():
        print(f"{folder} exists already: remove it, or name another folder", file=sys.stderr)
        return 64
    stack = make(folder)
    try:
        stack.up()
    except BaseException:
        stack.down()
        shutil.rmtree(folder)
        raise
    print(f"{folder} is ready: gateway on {(folder / 'gateway').read_text(encoding='utf-8').strip()}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
