"""Tells how a command ended in the form that was asked for, beside the words for people.

The last thing of a step. Never changes how the command ended: what cannot be written is a note (faults.md P15).
"""

from controller import output
from controller.outputs import choice, endings, github, junit, sarif


def tell(form: choice.Form, run: endings.Run) -> None:
    """Write the answer. Text and JSON were printed already by whoever knows the content."""
    printer = output.Printer()
    match form:
        case choice.Form.GITHUB:
            printer.machine(github.annotations(run))
            printer.diagnostics(f"note: {note}" for note in github.written(run))
        case choice.Form.JUNIT:
            printer.machine([junit.document(run)])
        case choice.Form.SARIF:
            printer.machine([sarif.document(run)])
        case choice.Form.TEXT | choice.Form.JSON:
            pass
