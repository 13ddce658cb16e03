"""The answer of a step as SARIF 2.1.0, for code scanning and editors.

Rules are the reasons of docs/exit-codes.md and the codes of notices; the key of a problem is its logical location.
Every result has a place: what is about no file stands at the folder of the source.
"""

import json
from collections.abc import Iterable
from typing import Any

from controller import __version__, errors, output
from controller.outputs import endings, places
from core import digest

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_ROOT = "%SRCROOT%"


def document(run: endings.Run) -> str:
    """The whole file, on one line."""
    found = [(finding, ending) for ending in run.endings for finding in ending.findings]
    found += [(_verdict(ending), ending) for ending in run.endings if ending.failed and not _is_told(ending)]
    rules = list(dict.fromkeys(finding.reason for finding, _ in found))
    results = [_result(finding, ending, rules) for finding, ending in found]
    body = {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": _driver(rules)},
                "invocations": [{"executionSuccessful": run.reason not in errors.MEANINGS, "exitCode": run.exit_code}],
                "columnKind": "unicodeCodePoints",
                "properties": {"command": run.command, "reason": run.reason, "changed": run.changed},
                "results": list({json.dumps(one): one for one in results}.values()),  # once for targets of one source
            }
        ],
    }
    return json.dumps(body)


def _driver(rules: Iterable[str]) -> dict[str, Any]:
    return {
        "name": "artifact-controller",
        "version": __version__,
        "semanticVersion": __version__,
        "rules": [_rule(reason) for reason in rules],
    }


def _rule(reason: str) -> dict[str, Any]:
    meaning = errors.MEANINGS.get(reason)
    hint = meaning.hint if meaning else "it stops nothing; look at the place that is named"
    return {
        "id": output.clean(reason),
        "name": output.clean(reason),
        "shortDescription": {"text": output.clean(reason)},
        "help": {"text": hint},
        "defaultConfiguration": {"level": "error" if meaning else "warning"},
    }


def _verdict(ending: endings.Ending) -> endings.Finding:
    return endings.Finding(endings.Level.ERROR, ending.reason, f"{ending.headline}\nhint: {ending.hint}")


def _is_told(ending: endings.Ending) -> bool:
    return any(finding.level is endings.Level.ERROR for finding in ending.findings)


def _result(finding: endings.Finding, ending: endings.Ending, rules: list[str]) -> dict[str, Any]:
    whose = f"{ending.subject}: " if ending.subject and not finding.file else ""
    text = "\n".join(output.clean(line) for line in f"{whose}{finding.message}".split("\n"))
    place = places.of(finding.file, ending.root) or places.of(".", ending.root)
    location: dict[str, Any] = {"physicalLocation": _physical(place, finding)}
    if finding.key:
        location["logicalLocations"] = [{"fullyQualifiedName": output.clean(finding.key), "kind": "member"}]
    same = digest.of_parts((finding.reason, place, finding.key, text))
    return {
        "ruleId": output.clean(finding.reason),
        "ruleIndex": rules.index(finding.reason),
        "level": str(finding.level),
        "message": {"text": text},
        "locations": [location],
        "partialFingerprints": {"finding/v1": same},
    }


def _physical(place: str, finding: endings.Finding) -> dict[str, Any]:
    artifact = {"uri": places.uri(place)}
    if not place.startswith("/"):
        artifact["uriBaseId"] = _ROOT
    # Code scanning shows nothing that has no line: what is about a whole file, or about none, has the first.
    region = {"startLine": finding.line, "startColumn": max(finding.column, 1)} if finding.line else {"startLine": 1}
    return {"artifactLocation": artifact, "region": region}
