"""Small programs in the place of the platform's commands: what `coffee up` does with them is what is tested."""

import asyncio
import http.server
import json
import os
import signal
import sys
import threading
from pathlib import Path

import asyncpg

SHOWN = ("COFFEE_DATABASE_URL", "COFFEE_SAAS_URL", "COFFEE_SAAS_DATA_URL", "COFFEE_JWT_SECRET", "COFFEE_REDIS_URL")


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/die":
            print("somebody told me to die", flush=True)
            os._exit(9)
        self.send_response(200)
        self.end_headers()
        told = {name: os.environ.get(name, "") for name in SHOWN} | {"pid": os.getpid()}
        self.wfile.write(json.dumps(told).encode())

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


def serve(port: str) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Answer)

    def stop(*_: object) -> None:
        print("drained", flush=True)
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    server.serve_forever()


def gateway() -> None:
    if os.environ.get("COFFEE_TEST_GATEWAY") == "broken":
        print("the grinder is jammed", flush=True)
        sys.exit(5)
    serve(os.environ["COFFEE_GATEWAY_PORT"])


def modules(only: str = "") -> None:
    serve(os.environ["COFFEE_MODULES_PORT"])


def worker() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.pause()


def migrate() -> None:
    if os.environ.get("COFFEE_TEST_MIGRATE") == "broken":
        print("column roast does not exist", flush=True)
        sys.exit(1)
    asyncio.run(count_starts())


async def count_starts() -> None:
    """Proof that a second start finds the data of the first."""
    connection = await asyncpg.connect(os.environ["COFFEE_DATABASE_URL"])
    await connection.execute("CREATE TABLE IF NOT EXISTS up_starts (n int)")
    await connection.execute("INSERT INTO up_starts VALUES (1)")
    print("start number", await connection.fetchval("SELECT count(*) FROM up_starts"), flush=True)
    await connection.close()


def demo() -> None:
    Path(os.environ["COFFEE_TEST_DEMO_FILE"]).write_text("poured")
