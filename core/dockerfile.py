"""What a Dockerfile starts from, and the same text with the names that the build host knows (contract.md section 5).

Called before an image's input is put together. Rewrites as little as is right: the images of FROM, COPY --from and
RUN --mount, and the `# syntax=` line, which would make the engine pull a frontend. Every other byte stays, and so does
the number of every line. What cannot be read for certain is a problem, never a guess (libraries.md, Dockerfile). Opens
nothing, and no message shows a value from the file: it may hold a secret (faults.md K1).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from core import dockerfile_stages, dockerfile_text, dockerfile_words, references
from core import problems as found_problems

MAX_BYTES = 1 << 20
"""Of a Dockerfile: no build needs a longer one, and all of it is read before anything is built."""

_FRONTEND = "BUILDKIT_SYNTAX"
_LAMBDA_BASE = "esb-lambda-base"


@dataclass(frozen=True, slots=True)
class BaseRules:
    """What the names of images become.

    `registries` are the two names of one registry. An `esb-lambda-base` without a tag, or with `latest`, takes
    `observed_tag` (of the running stack), else `base_tag` (ESB_TAG), else stays; each is "" when it is not known.
    """

    registries: references.Registries = field(default_factory=references.Registries)
    observed_tag: str = ""
    base_tag: str = ""

    def rewritten(self, text: str) -> references.Reference:
        """An image's reference as the build host has to see it. Text that is no reference raises `Unclear`."""
        found = _parsed(references.moved(text, self.registries))
        floats = not found.digest and found.tag in {"", references.LATEST}
        tag = self.observed_tag or self.base_tag
        if tag and floats and found.repository.rpartition("/")[2] == _LAMBDA_BASE:
            return _parsed(str(replace(found, tag=tag)))
        return found


@dataclass(frozen=True, slots=True)
class Reading:
    """A Dockerfile that was read. With `problems`, `text` is empty and there are no `bases`.

    `text` is what is built. `bases` are the images that it names, as the build host sees them and as `text` has them,
    in order; of several spellings of one image, the first. `problems` have no file yet: the caller knows its name.
    """

    text: str = ""
    bases: tuple[str, ...] = ()
    problems: tuple[found_problems.Problem, ...] = ()


def read(text: bytes | str, *, arguments: Mapping[str, str], rules: BaseRules) -> Reading:
    """Read a Dockerfile that is built with these build arguments. Reading the result again changes nothing.

    A variable in the name of a base is replaced, so that what was read is what is built. Automatic platform arguments
    (TARGETARCH) are refused there, and ONBUILD with a `from`. Sources: contract.md section 5, and what BuildKit does.
    """
    try:
        if _FRONTEND in arguments:
            sentence = f"the build argument {_FRONTEND} would make the engine pull a frontend: leave it out"
            raise dockerfile_text.UnclearLine(0, sentence)
        decoded = _decoded(text)
        lines = dockerfile_text.lines(decoded)
        top = dockerfile_text.directives(lines)
        found = tuple(dockerfile_text.instructions(lines, top.escape))
    except dockerfile_text.UnclearLine as unclear:
        return _refused(((unclear.line, str(unclear)),))
    names = (dockerfile_stages.stage_name(each) for each in found if each.name == "from")
    stages = dockerfile_stages.Stages(arguments, rules.rewritten, frozenset(names))
    for instruction in found:
        stages.take(instruction)
    if not stages.count:
        stages.wrong.append((0, "has no FROM: begin it with FROM and the image to build on"))
    if stages.wrong:
        return _refused(stages.wrong)
    return Reading(_edited(decoded, (*_without_syntax(top), *stages.edits)), tuple(stages.bases.values()))


def _parsed(text: str) -> references.Reference:
    found = references.parse(text)
    if isinstance(found, str):
        raise dockerfile_words.Unclear(f"names an image whose reference {found}")
    return found


def _decoded(text: bytes | str) -> str:
    raw = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    if len(raw) > MAX_BYTES:
        raise dockerfile_text.UnclearLine(0, f"is longer than {MAX_BYTES} bytes")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise dockerfile_text.UnclearLine(line, "is not UTF-8: save the file in that encoding") from None


def _without_syntax(top: dockerfile_text.Directives) -> Iterator[dockerfile_stages.Edit]:
    """Directives count only up to the first line that is none. So the others move up, and the empty comment that
    stands for `# syntax=` comes last."""
    kept = [line.text for line, name in top.lines if name != "syntax"]
    if len(kept) < len(top.lines):
        for (line, _), text in zip(top.lines, (*kept, "#"), strict=True):
            yield dockerfile_stages.Edit(line.start, line.start + len(line.text), text)


def _edited(text: str, edits: Iterable[dockerfile_stages.Edit]) -> str:
    parts: list[str] = []
    at = 0
    for edit in sorted(edits, key=lambda edit: edit.start):
        parts += (text[at : edit.start], edit.text)
        at = edit.end
    return "".join((*parts, text[at:]))


def _refused(wrong: Iterable[tuple[int, str]]) -> Reading:
    return Reading(
        problems=tuple(found_problems.Problem("", line, min(line, 1), "", sentence) for line, sentence in wrong)
    )
