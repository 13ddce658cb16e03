"""The world around the decisions: sources, the record, locks, commands, output.

`controller` imports `manifests` and `core` and decides nothing that `core` could decide.
"""

__version__ = "0.1.0"
