"""The published JSON Schemas, written to files: ``python -m controller.schema docs/schema`` (`make schema`).

The same documents that `controller manifest schema` prints; a test compares the files with them.
"""

import json
import sys
from pathlib import Path
from typing import Any

from controller import targets
from core import models


def documents() -> dict[str, dict[str, Any]]:
    """Every published schema by file name."""
    return {"artifact.schema.json": models.manifest_schema(), "controller.schema.json": targets.json_schema()}


def text(document: dict[str, Any]) -> str:
    """A schema as it is published."""
    return json.dumps(document, indent=2) + "\n"


def main() -> None:
    """Write all schemas into the folder that is named on the command line."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in documents().items():
        (folder / name).write_text(text(document), encoding="utf-8")


if __name__ == "__main__":
    main()
