"""One request: find its route, then its function, then ask the function's worker.

Owns HTTP status codes. Routes are tried in order and compiled as they come, so one bad route breaks every later one
(consumers.md GW8), and paths are regular expressions unescaped (GW9), as in the real gateway.
"""

import json
import os
import re
import traceback
from http import server
from typing import Any

from e2e.stack.gateway import config_files, workers


def matching(routes: list[Any], method: str, path: str) -> str:
    """The function of the first route that fits; "" without one. Raises what a bad route raises (GW8)."""
    for route in routes:
        if not route["path"]:
            continue
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", route["path"])
        if re.match(f"^{pattern}$", path) and (route.get("method") or "GET").upper() == method:
            return str(route["function"])
    return ""


def handler(
    functions: config_files.Watched, routes: config_files.Watched, pool: workers.Pool
) -> type[server.BaseHTTPRequestHandler]:
    """The class that answers requests with what the two files hold at that moment."""

    class Handler(server.BaseHTTPRequestHandler):
        """Answers one connection."""

        def answer(self) -> None:
            """/health by the gateway itself, all else by a function."""
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            path = self.path.partition("?")[0]
            try:
                status, text = self.health() if path == "/health" else self.routed(path, body)
            except Exception:  # noqa: BLE001 - a request that fails must not end the gateway
                status, text = 500, traceback.format_exc(limit=3)
            content = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = answer  # noqa: N815 - the names that the base class calls

        def health(self) -> tuple[int, str]:
            """What this gateway is."""
            return 200, json.dumps(
                {"status": "healthy", "version": os.environ["TAG"], "mode": os.environ["MODE"], "api_version": "1.0"}
            )

        def routed(self, path: str, body: bytes) -> tuple[int, str]:
            """Status and text of the function that the route names."""
            name = matching(routes.value, self.command, path)
            if not name:
                return 404, "no route\n"
            function = functions.value.get(name)
            if function is None:
                return 502, f"function {name} is not known\n"
            try:
                return pool.ask(name, function, {"method": self.command, "path": path, "body": body.decode()})
            except workers.Unavailable as problem:
                return 503, f"{problem}\n"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that the base class uses
            """One line a request, on stdout."""
            print(f"gateway: {format % args}", flush=True)

    return Handler
