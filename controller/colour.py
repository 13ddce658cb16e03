"""Whether words for a stream have colours: where a person sees them, and only when nobody asked for none.

The one place that knows the variables, for plans and for the log. Says nothing of what is coloured.
"""

import os
from typing import TextIO


def is_wanted(stream: TextIO) -> bool:
    """On a terminal that can show it, unless NO_COLOR asks for none; CLICOLOR_FORCE asks for it anywhere. An empty
    variable counts as none."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("CLICOLOR_FORCE", "0") not in ("", "0"):
        return True
    return stream.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb")
