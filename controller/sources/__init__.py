"""Where artifacts come from: each source resolves to a revision and an immutable reading of its content."""
