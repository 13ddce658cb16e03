"""The last lines of every Dockerfile that is built here: they keep what is built on the image from passing for it.

Called by `controller.image_builder` with text that `core.dockerfile` has read. No line before them moves, so that the
numbers in messages stay right. They are no part of the input digest, which they contain.
"""

from core import dockerfile_text, image_inputs


def sealed(text: str, input_digest: str) -> str:
    """The text with its seal. Text that `core.dockerfile` refuses may raise `dockerfile_text.UnclearLine`.

    LABEL, because BuildKit dates an image by its last step, and one that has no step by its base. ONBUILD, because a
    build that adds metadata only (ENV, CMD) keeps the date of its base: it loses the label at its FROM instead.
    """
    label = image_inputs.LABEL_INPUT
    return f"{_ended(text)}\nLABEL {label}={input_digest}\nONBUILD LABEL {label}=\n"


def _ended(text: str) -> str:
    """The text without escape characters at its end, which would make the next line a part of its last instruction.
    What BuildKit builds is the same. Comments and empty lines after them go too."""
    lines = dockerfile_text.lines(text)
    escape = dockerfile_text.directives(lines).escape
    last: tuple[tuple[int, int], ...] = ()
    for instruction in dockerfile_text.instructions(lines, escape):
        last = instruction.pieces
    for _, start in reversed(last):
        line = text[start:].partition("\n")[0].rstrip(" \t\r")
        kept = line.rstrip(f"{escape} \t")
        if kept == line:
            return text
        text = text[: start + len(kept)]
        if kept:
            break
    return text
