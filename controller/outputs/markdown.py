"""The job summary: how a command ended and what it would change, in Markdown that nothing from a source can break.

Everything that is not ours is written so that no character of it means anything to Markdown or HTML. Bounded: what has
no room is counted in a sentence, and what is there is whole. Values are masked already (`core.field_changes`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from controller import output, plan_text
from controller.outputs import endings, places
from core import diff, image_work, items

_PLAIN = frozenset(" ./,-+='\"();?%")
"""Punctuation that means nothing inside a line, as long as no bracket or colon stands before it."""

_VERDICTS = {(True, True): "differs", (True, False): "no difference", (False, True): "done", (False, False): "in order"}
"""By whether it only compared, and whether something is different."""

_RESERVE = 2_000
"""Bytes that are kept for the sentences which say what was left out."""


def escaped(text: str) -> str:
    """Text that shows itself, in one line, whatever it holds."""
    return "".join(
        character if character.isalnum() or character in _PLAIN else f"&#{ord(character)};"
        for character in output.clean(text)
    ).replace("www.", "www&#46;")


def code(text: str) -> str:
    """The same in the face of code. HTML, because a backtick in Markdown's own would end it."""
    return f"<code>{escaped(text)}</code>"


@dataclass(frozen=True, slots=True)
class _Table:
    """A table of whole rows. `of` is what they are, for the sentence about those that had no room."""

    of: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def summary(run: endings.Run, limit: int) -> str:
    """The summary in at most `limit` bytes of UTF-8; "" when not even its first lines have room."""
    text = ""
    for ending in run.endings:
        left = limit - len(text.encode())
        text += _of_ending(run.command, ending, left)
        if len(text.encode()) + _RESERVE > limit:
            break
    return text if len(text.encode()) <= limit else ""


def _of_ending(command: str, ending: endings.Ending, limit: int) -> str:
    title = f"{command} {ending.subject}".strip()
    verdict = "failed" if ending.failed else _VERDICTS[command == "diff", ending.changed]
    parts = [f"### {escaped(title)}\n", f"**{verdict}** ({code(ending.reason)}): {escaped(ending.headline)}\n"]
    if ending.hint:
        parts.append(f"**Way out**: {escaped(ending.hint)}\n")
    left = limit - sum(len(part.encode()) + 1 for part in parts) - _RESERVE
    if left < 0:
        return ""
    for table in _tables(ending):
        shown = _table(table, left)
        parts.append(shown)
        left -= len(shown.encode()) + 1
    return "\n".join(parts) + "\n"


def _table(table: _Table, limit: int) -> str:
    """The rows that have room, and a sentence about the others."""
    lines = [_row(table.head), _row("---" for _ in table.head)]
    left, shown = limit - sum(len(line) for line in lines), 0
    for row in table.rows:
        line = _row(row)
        left -= len(line.encode())
        if left < 0:
            break
        lines.append(line)
        shown += 1
    missing = len(table.rows) - shown
    text = "".join(lines) if shown else ""
    return f"{text}\nand {missing} more {table.of}, which have no room here\n" if missing else text


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _tables(ending: endings.Ending) -> Iterable[_Table]:
    if ending.findings:
        rows = [_finding(finding, ending.root) for finding in ending.findings]
        yield _Table("findings", ("", "reason", "place", "what"), rows)
    planned = _planned(ending)
    if planned:
        yield _Table("changes", ("", "what", "why", "effect", "fields", "from"), planned)
    if ending.notes:
        yield _Table("notes", ("note",), [(escaped(note),) for note in ending.notes])


def _finding(finding: endings.Finding, root: str) -> tuple[str, ...]:
    place = places.of(finding.file, root)
    if place and finding.line:
        place += f":{finding.line}:{finding.column}"
    text = "<br>".join(escaped(line) for line in finding.message.split("\n"))
    return str(finding.level), code(finding.reason), escaped(place), text


def _planned(ending: endings.Ending) -> list[tuple[str, ...]]:
    decision = ending.decision
    if decision is None:
        return []
    rows = [_change(change, ending.root) for change in decision.comparison.changes]
    rows += [_image(work) for work in decision.images]
    if decision.provision is not None:
        rows.append((code(">"), "provisioner", escaped(decision.provision), "", "", ""))
    return rows


def _change(change: diff.Change, root: str) -> tuple[str, ...]:
    kind, name = change.key
    fields = "<br>".join(
        f"{escaped(field.path)}: {escaped(_side(field.before))} → {escaped(_side(field.after))}"
        for field in plan_text.fields(change)
    )
    origin = change.provenance
    where = ""
    if origin is not None:
        line = f":{origin.line}" if origin.line else ""
        was = "was " if change.operation is diff.Operation.REMOVE else ""
        where = escaped(f"{was}{origin.entry} {places.of(origin.file, root)}{line}".rstrip())
    why = escaped(f"{change.cause}: {change.reason}")
    return code(change.operation), f"{kind} {code(name)}", why, escaped(change.effect), fields, where


def _side(value: str | None) -> str:
    return "(none)" if value is None else value


def _image(work: image_work.Work) -> tuple[str, ...]:
    wanted = work.wanted
    why = str(work.why) if work.why is not None else ""
    origin = f"{wanted.entry} {items.Kind.FUNCTION} {wanted.function}"
    return code("*"), f"image {code(wanted.target)}", escaped(why), escaped(work.need), "", escaped(origin)
