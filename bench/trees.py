"""Generated source trees for the benchmark: valid artifacts of any size, always the same."""

import hashlib
import os
from pathlib import Path


def write(root: Path, *, entries: int, functions: int) -> None:
    """An artifact of `entries` entries with `functions` functions and routes each."""
    root.mkdir(parents=True)
    manifest = ['schema_version: "1"\nproject: bench\nenv: bench\nmode: docker\nartifacts:\n']
    for entry in range(entries):
        template = f"templates/part-{entry}.yaml"
        identity = hashlib.sha256(f"{template}\n\n".encode()).hexdigest()[:8]
        manifest.append(
            f"  - id: part-{entry}-{identity}\n    artifact_root: part-{entry}\n"
            f"    runtime_config_dir: config\n    source_template:\n      path: {template}\n"
        )
        _write_entry(root / f"part-{entry}" / "config", entry, functions)
    (root / "artifact.yml").write_text("".join(manifest))


def _write_entry(folder: Path, entry: int, functions: int) -> None:
    folder.mkdir(parents=True)
    (folder / "functions.yml").write_text(
        'defaults:\n  environment:\n    LOG_LEVEL: "${LOG_LEVEL}"\nfunctions:\n'
        + "".join(_function(entry, number) for number in range(functions))
    )
    (folder / "routing.yml").write_text(
        "routes:\n"
        + "".join(
            f'  - path: "/api/{entry}/{number}"\n    method: "POST"\n    function: "fn-{entry}-{number}"\n'
            for number in range(functions)
        )
    )
    (folder / "resources.yml").write_text(f"resources:\n  s3:\n    - BucketName: bucket-{entry}\n")


def _function(entry: int, number: int) -> str:
    return (
        f'  fn-{entry}-{number}:\n    image: "registry:5010/bench/fn-{entry}-{number}:v1"\n    timeout: 30\n'
        f'    memory_size: 128\n    environment:\n      TABLE: "table-{number}"\n'
        f'      S3_ENDPOINT: "http://s3-storage:9000"\n    scaling:\n      min_capacity: 0\n      max_capacity: 3\n'
    )


def change_one(root: Path) -> None:
    """Change one function of one entry, differently every time."""
    path = root / "part-0" / "config" / "functions.yml"
    text = path.read_text()
    current = int(text.split("timeout: ", 1)[1].split("\n", 1)[0])
    path.write_text(text.replace(f"timeout: {current}", f"timeout: {current + 1}", 1))


def snapshot(root: Path) -> dict[str, tuple[int, int, int]]:
    """Inode, size and modification time of everything below a folder, the folder itself included."""
    found = {}
    for folder, folders, files in os.walk(root):
        for name in (".", *folders, *files):
            path = os.path.join(folder, name)
            status = os.lstat(path)
            found[path] = (status.st_ino, status.st_size, status.st_mtime_ns)
    return found
