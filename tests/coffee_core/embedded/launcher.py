"""A program that starts embedded servers, says where they are, and waits to be stopped or killed.

python -m tests.coffee_core.embedded.launcher FOLDER NAME...
"""

import asyncio
import json
import signal
import sys
from pathlib import Path

from coffee_core.embedded.servers import Servers


async def main(folder: str, names: list[str]) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with Servers(Path(folder)) as servers:
        found = {name: [await servers.start(name), servers.child(name).pid] for name in names}  # type: ignore[arg-type]
        print(json.dumps(found), flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
