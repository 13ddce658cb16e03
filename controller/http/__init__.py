"""The HTTP server of a running controller: health, metrics, status, and webhooks that say "look now"."""
