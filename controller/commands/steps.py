"""How one-shot commands show the steps that take long: live on a terminal, as plain lines elsewhere and where several
targets are worked on at once, not with --quiet.

Puts `controller.progress` in place for the time of a pass; rich is loaded only where it draws.
"""

import contextlib
import os
import sys

from controller import output, progress


def shown(printer: output.Printer) -> contextlib.AbstractContextManager[None]:
    """Show the steps of what is inside on stderr, as this printer's options ask for it."""
    if printer.quiet:
        return contextlib.nullcontext()
    if not printer.target and sys.stderr.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb"):
        return progress.live(sys.stderr)
    return progress.plain(printer.meanwhile, target=printer.target)
