"""Write the committed fixtures of the end-to-end tests anew: `python -m e2e.scripts.make_artifacts`.

The producer of the deploy artifact contract, as small as can be: two templates, eleven functions, one table, one
bucket, and one artifact.yml for each environment. The same run always gives the same bytes; tests only ever read them.
"""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from core import identity

E2E = Path(__file__).resolve().parent.parent
ENVIRONMENTS = ("docker", "containerd", "firecracker")
REGISTRY = "registry:5010"
BASE = f"{REGISTRY}/esb-lambda-base"
COPY = "COPY functions/{name}/src/ /var/task/"
DOCKERFILE = f"FROM {BASE}\n{COPY}\n"
TWO_STAGES = f"""\
FROM --platform=$TARGETPLATFORM {BASE} AS built
RUN mkdir -p /out && echo "sizes: 64 256" > /out/sizes
FROM {BASE}:latest
COPY --from=built /out/ /var/task/
{COPY}
"""
ARGUMENT_FIRST = f"ARG BASE={BASE}\nFROM ${{BASE}}\n{COPY}\n"
HEREDOC = f"""\
FROM {BASE}
RUN <<END
mkdir -p /var/task
echo "FROM nowhere" > /var/task/text
END
{COPY}
"""
SYNTAX = f"# syntax=docker/dockerfile:1\nFROM {BASE}\n{COPY}\n"


@dataclass(frozen=True)
class Function:
    """One function: what it prints, how it is built, and the path that leads to it ("" for a scheduled one)."""

    name: str
    prints: str
    path: str = ""
    method: str = "GET"
    dockerfile: str = DOCKERFILE
    settings: str = ""


@dataclass(frozen=True)
class Template:
    """One entry of artifact.yml and what is below its root."""

    name: str
    functions: tuple[Function, ...]
    resources: str
    parameters: tuple[tuple[str, str], ...] = ()


GREETING = '    environment:\n      GREETING: "good day"\n'
API = Template(
    "api",
    (
        Function("hello", 'echo "hello v1"', "/hello"),
        Function("echo", "cat", "/echo", "POST"),
        Function("greet", 'echo "$GREETING, $LOG_LEVEL"', "/greet/{who}", settings=GREETING),
        Function("base", "cat /etc/lambda-base", "/base"),
        Function("status", 'echo "up"', "/status"),
        Function("gateway", 'echo "$GATEWAY_INTERNAL_URL"', "/gateway"),
    ),
    """\
resources:
  dynamodb:
    - TableName: e2e-orders
      KeySchema:
        - AttributeName: id
          KeyType: HASH
      AttributeDefinitions:
        - AttributeName: id
          AttributeType: S
      BillingMode: PAY_PER_REQUEST
""",
    (("Stage", "e2e"),),
)
JOBS = Template(
    "jobs",
    (
        Function("resize", "cat /var/task/sizes", "/resize", dockerfile=TWO_STAGES),
        Function("report", 'echo "report v1"', "/report", dockerfile=ARGUMENT_FIRST),
        Function("notify", "cat /var/task/text", "/notify", "POST", dockerfile=HEREDOC),
        Function("archive", 'echo "archived"', "/archive", "POST", dockerfile=SYNTAX),
        Function("cleanup", 'echo "clean"', settings="    timeout: 60\n"),
    ),
    "resources:\n  s3:\n    - BucketName: e2e-pictures\n",
)


def main() -> int:
    """Replace both folders of fixtures."""
    write(E2E / "artifacts" / "main", E2E / "environments")
    return 0


def write(root: Path, environments: Path) -> None:
    """Write the two artifact roots below `root`, which is emptied first, and `environments`/<name>/artifact.yml."""
    shutil.rmtree(root, ignore_errors=True)
    for template in (API, JOBS):
        folder = root / template.name
        _put(folder / "config" / "functions.yml", _functions(template))
        _put(folder / "config" / "routing.yml", _routes(template))
        _put(folder / "config" / "resources.yml", template.resources)
        for function in template.functions:
            place = folder / "functions" / function.name
            _put(place / "Dockerfile", function.dockerfile.replace("{name}", function.name))
            _put(place / "src" / "handler.sh", f"{function.prints}\n")
    for name in ENVIRONMENTS:
        _put(environments / name / "artifact.yml", _manifest(name))


def _manifest(environment: str) -> str:
    lines = [
        'schema_version: "1"',
        "project: esb-e2e",
        f"env: {environment}",
        f"mode: {environment}",
        "runtime_stack:",
        '  api_version: "1.0"',
        f"  mode: {environment}",
        "  esb_version: e2e",
        "artifacts:",
    ]
    for template in (API, JOBS):
        path = f"e2e/templates/{template.name}.yaml"
        lines.append(f"  - id: {identity.entry_id(path, dict(template.parameters), '')}")
        lines.append(f"    artifact_root: ../../artifacts/main/{template.name}")
        lines += ["    runtime_config_dir: config", "    source_template:", f"      path: {path}"]
        if template.parameters:
            lines += ["      parameters:", *(f"        {key}: {value}" for key, value in template.parameters)]
    return "\n".join([*lines, "generator:", "  name: make_artifacts", '  version: "1"', ""])


def _functions(template: Template) -> str:
    text = "defaults:\n  environment:\n"
    text += '    GATEWAY_INTERNAL_URL: "${GATEWAY_INTERNAL_URL}"\n    LOG_LEVEL: "${LOG_LEVEL}"\n'
    text += "  scaling:\n    idle_timeout: 300\n    acquire_timeout: 30.0\nfunctions:\n"
    for function in template.functions:
        text += f'  {function.name}:\n    image: "{REGISTRY}/e2e-{function.name}:latest"\n'
        text += function.settings
    return text


def _routes(template: Template) -> str:
    text = "routes:\n"
    for function in template.functions:
        if function.path:
            text += f'  - path: "{function.path}"\n    method: "{function.method}"\n    function: "{function.name}"\n'
    return text


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
