"""A RabbitMQ node of the tests' own, where its program is installed: it has no wheel."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import aio_pika
from aio_pika.connection import make_url

from coffee_core.embedded.child import Child, Command
from tests.support.ports import free_ports

PROGRAMS = ("/usr/lib/rabbitmq/bin/rabbitmq-server", "/opt/rabbitmq/sbin/rabbitmq-server")
"""The program itself: Debian's command of that name changes to a user and a folder of its own first."""

START = 90.0
"""Seconds that a busy machine may need to start one."""

STOP = 30.0


def program() -> Path | None:
    """The server, if it is on this machine."""
    return next((Path(place) for place in PROGRAMS if os.access(place, os.X_OK)), None)


@contextlib.asynccontextmanager
async def node(server: Path) -> AsyncIterator[str]:
    """The URL of a new node with nothing in it, gone with all that it held afterwards: queues that earlier runs left,
    in a node that others share, take its memory and its disk until it no longer answers."""
    folder = Path(tempfile.mkdtemp(prefix="coffee-rabbitmq-"))
    port, distribution = free_ports(2)
    child = Child(
        Command(
            name="rabbitmq",
            argv=[server],
            cwd=folder,
            log=folder / "output.log",
            env={
                "HOME": str(folder),  # of its cookie
                "PATH": os.environ.get("PATH", os.defpath),
                "RABBITMQ_CONF_ENV_FILE": os.devnull,
                "RABBITMQ_CONFIG_FILE": str(folder / "none"),
                "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
                "RABBITMQ_NODENAME": f"coffee-tests-{port}@localhost",
                "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
                "RABBITMQ_NODE_PORT": str(port),
                "RABBITMQ_DIST_PORT": str(distribution),
                "RABBITMQ_MNESIA_BASE": str(folder / "data"),
                "RABBITMQ_LOG_BASE": str(folder / "log"),
            },
        )
    )
    url = f"amqp://guest:guest@127.0.0.1:{port}/"
    try:
        await child.start()
        await child.ready(lambda: answers(url), START)
        yield url
    finally:
        await child.stop(STOP)
        shutil.rmtree(folder, ignore_errors=True)


async def answers(url: str) -> bool:
    """Whether a user may come in."""
    connection = aio_pika.Connection(make_url(url))
    try:
        await connection.connect(timeout=5)
    except (TimeoutError, OSError, aio_pika.exceptions.AMQPError):
        return False
    finally:
        # also one that never opened: collected where no loop runs, it would leave a coroutine that nobody awaits
        await connection.close()
    return True
