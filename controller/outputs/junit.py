"""The answer of a step as JUnit XML, as GitLab, Jenkins and others read it from a file.

One suite for each thing that the command was about, one case for its verdict and one for each thing that is wrong or
worth a look. The XML is plain ASCII, so that no encoding of a stream can spoil it, and holds no character that XML 1.0
forbids.
"""

import xml.etree.ElementTree as ET

from controller import output, plan_text
from controller.outputs import endings, places


def document(run: endings.Run) -> str:
    """The whole file."""
    top = ET.Element("testsuites", {"name": _text(f"controller {run.command}")})
    for ending in run.endings:
        _suite(top, run.command, ending)
    for name in ("tests", "failures"):
        top.set(name, str(sum(int(suite.get(name, "0")) for suite in top)))
    top.set("errors", "0")
    ET.indent(top)
    text = ET.tostring(top, encoding="unicode").encode("ascii", "xmlcharrefreplace").decode()
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'


def _suite(top: ET.Element, command: str, ending: endings.Ending) -> None:
    name = f"controller {command} {ending.subject}".strip()
    wrong = [finding for finding in ending.findings if finding.level is endings.Level.ERROR]
    suite = ET.SubElement(top, "testsuite", {"name": _text(name)})
    known = {"revision": ending.revision, "reason": ending.reason, "exit_code": str(ending.exit_code)}
    properties = ET.SubElement(suite, "properties")
    for key, value in known.items():
        ET.SubElement(properties, "property", {"name": key, "value": _text(value)})
    verdict = ET.SubElement(suite, "testcase", {"classname": _text(name), "name": "verdict", "time": "0"})
    if ending.failed and not wrong:
        _failure(verdict, ending.reason, ending.headline, ending.hint)
    for finding in ending.findings:
        _case(suite, name, finding, ending)
    ET.SubElement(verdict, "system-out").text = _lines(ending)
    cases = suite.findall("testcase")
    failed = sum(case.find("failure") is not None for case in cases)
    for key, count in {"tests": len(cases), "failures": failed, "errors": 0, "skipped": 0, "time": 0}.items():
        suite.set(key, str(count))


def _case(suite: ET.Element, name: str, finding: endings.Finding, ending: endings.Ending) -> None:
    """What is wrong fails; what is worth a look passes, and says so."""
    place = _text(places.of(finding.file, ending.root))
    at = f"{place}:{finding.line}:{finding.column}" if place and finding.line else place
    title = " ".join(part for part in (at, finding.key) if part) or finding.message.partition("\n")[0]
    known = {"classname": _text(name), "name": _text(f"{finding.reason} {title}"), "time": "0"}
    if place:
        known["file"] = place
    if place and finding.line:
        known["line"] = str(finding.line)
    case = ET.SubElement(suite, "testcase", known)
    if finding.level is endings.Level.ERROR:
        hint = "" if "\nhint: " in finding.message else ending.hint
        _failure(case, finding.reason, f"{at}: {finding.message}" if at else finding.message, hint)
    else:
        ET.SubElement(case, "system-out").text = _text(f"{finding.level}: {finding.message}")


def _failure(case: ET.Element, reason: str, message: str, hint: str) -> None:
    failure = ET.SubElement(case, "failure", {"type": _text(reason), "message": _text(message.partition("\n")[0])})
    failure.text = "\n".join(_text(line) for line in (*message.split("\n"), *([f"hint: {hint}"] if hint else ())))


def _lines(ending: endings.Ending) -> str:
    """What people would read of it."""
    planned = list(plan_text.lines(ending.decision, everything=True)) if ending.decision is not None else []
    headline = [ending.headline] if planned[-1:] != [ending.headline] else []  # of a comparison, its last line
    told = [*planned, *headline, *(f"note: {note}" for note in ending.notes)]
    return "\n".join(_text(line) for line in told)


def _text(text: str) -> str:
    """Clean, and without the two last code points of the plane, which XML 1.0 forbids too (section 2.2)."""
    return output.clean(text).replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")
