"""One module a command: options in, one call, printing, exit code. No command decides anything."""
