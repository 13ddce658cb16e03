"""The gateway: reads CONFIG_DIR, routes requests to functions, and starts a container for each function that is asked.

Written for the end-to-end tests, after what consumers.md says of the real one. Several processes share one socket; each
has its own clock for each file (GW1). Owns the wiring and nothing else.
"""

import os
import random
import socket
import sys
import threading
import time
from http import server
from pathlib import Path

from e2e.stack.gateway import config_files, containerd_runtime, engine_runtime, requests, workers

CONFIG_DIR = Path("/app/config")
PORT = 8080


def main() -> int:
    """Seed the files (GW12), then serve in GATEWAY_PROCESSES processes until killed."""
    seed(CONFIG_DIR)
    listening = socket.create_server(("", PORT), backlog=128)
    for _ in range(int(os.environ.get("GATEWAY_PROCESSES", "4")) - 1):
        if os.fork() == 0:
            break
    serve(listening)
    return 0


def seed(folder: Path) -> None:
    """GW12: files that are missing at the start are made, because only files that exist are watched."""
    for name, text in (("functions.yml", "functions: {}\n"), ("routing.yml", "routes: []\n")):
        if not (folder / name).exists():
            (folder / name).write_text(text, encoding="utf-8")


def serve(listening: socket.socket) -> None:
    """One process: two watched files, and a server of requests."""
    functions = config_files.Watched(CONFIG_DIR / "functions.yml", config_files.functions, {})
    routes = config_files.Watched(CONFIG_DIR / "routing.yml", config_files.routes, [])
    for file in (functions, routes):
        file.poll()
        threading.Thread(target=watch, args=(file,), daemon=True).start()
    engine = engine_runtime.EngineRuntime()
    runtime = containerd_runtime.ContainerdRuntime(engine) if os.environ["MODE"] == "containerd" else engine
    pool = workers.Pool(runtime, warm_s=float(os.environ.get("WARM_SECONDS", "300")))
    handler = requests.handler(functions, routes, pool)
    http = server.ThreadingHTTPServer(("", PORT), handler, bind_and_activate=False)
    http.socket.close()
    http.socket = listening
    http.serve_forever()


def watch(file: config_files.Watched) -> None:
    """GW1: every 0.5 to 1 second."""
    while True:
        time.sleep(random.uniform(0.5, 1.0))  # noqa: S311 - a clock, not a secret
        file.poll()


if __name__ == "__main__":
    sys.exit(main())
