"""The fork server: what it forks is a process of its own, as one that is executed."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.coffee_core.embedded.processes import WITHIN_SECONDS, cmdline, gone, parent_of

PROGRAM = """
import asyncio, json, os, signal, sys, threading
from functools import partial
from pathlib import Path
from coffee_core.cli.forks import Forks
from coffee_core.embedded.child import Child, Command

def warm():
    print("warmed", flush=True)

def work(arguments):
    what = arguments[0]
    if what == "facts":
        print(json.dumps({
            "pid": os.getpid(), "parent": os.getppid(), "group": os.getpgid(0), "session": os.getsid(0),
            "folder": os.getcwd(), "environment": dict(os.environ), "threads": threading.active_count(),
            "descriptors": [
                os.readlink(f"/proc/self/fd/{n}") for n in range(100) if os.path.exists(f"/proc/self/fd/{n}")
            ],
            "mask": os.umask(0),
        }))
    elif what == "fail":
        raise SystemExit(7)
    elif what == "burst":
        raise ValueError("the boiler burst")
    elif what == "stay":
        print("here", flush=True)
        signal.pause()

async def main(forks, folder):
    def child(number, arguments):
        argv = [sys.executable, "-c", f"print({arguments!r}, 'executed', flush=True)"]
        command = Command(
            name=arguments[0], argv=argv, cwd=folder, log=folder / f"{number}.log", env={"BEAN": "arabica"},
            stop_signal=signal.SIGTERM,
        )
        return Child(command, partial(forks.launch, arguments))
    children = []
    for number, words in enumerate(sys.argv[2:]):
        children.append(child(number, tuple(words.split())))
        await children[-1].start()
        print(children[-1].pid, flush=True)
    for line in iter(partial(sys.stdin.readline), ""):
        number, _, what = line.strip().partition(" ")
        one = children[int(number)]
        print(await (one.wait() if what == "wait" else one.stop(10)), flush=True)

forks = Forks.begin(warm, work)
asyncio.run(main(forks, Path(sys.argv[1])))
"""


class Program:
    """A program that forks what it is told to, and is asked how it ended."""

    def __init__(self, process: Process, folder: Path) -> None:
        self.process = process
        self._folder = folder

    async def line(self) -> str:
        assert self.process.stdout
        async with asyncio.timeout(WITHIN_SECONDS):
            return (await self.process.stdout.readline()).decode().strip()

    async def asks(self, question: str) -> str:
        assert self.process.stdin
        self.process.stdin.write(f"{question}\n".encode())
        return await self.line()

    async def log(self, number: int, words: str) -> str:
        """Of a child, once these words are in it."""
        path = self._folder / f"{number}.log"
        async with asyncio.timeout(WITHIN_SECONDS):
            while not path.exists() or words not in path.read_text():
                await asyncio.sleep(0.01)
        return path.read_text()


@asynccontextmanager
async def program(folder: Path, *children: str) -> AsyncIterator[Program]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, str(folder), *children),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield Program(process, folder)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def begun(program: Program, count: int) -> list[int]:
    """The process ids of that many children."""
    lines = [await program.line() for _ in range(count + 1)]
    assert lines.count("warmed") == 1, "what is imported is imported once"
    return [int(line) for line in lines if line != "warmed"]


async def test_a_forked_command_has_its_own_session_folder_environment_and_log(tmp_path: Path) -> None:
    async with program(tmp_path, "stay", "facts") as running:
        _, pid = await begun(running, 2)
        assert await running.asks("1 wait") == "0"
        facts = json.loads(await running.log(1, "}"))
    assert facts["pid"] == facts["group"] == facts["session"] == pid
    assert facts["parent"] != running.process.pid
    assert facts["folder"] == str(tmp_path)
    assert facts["environment"] == {"BEAN": "arabica"}
    assert facts["threads"] == 1
    assert facts["mask"] == 0o077
    assert facts["descriptors"] == ["/dev/null", str(tmp_path / "1.log"), str(tmp_path / "1.log")]
    assert (tmp_path / "1.log").stat().st_mode & 0o077 == 0


async def test_the_status_of_a_forked_command_is_known(tmp_path: Path) -> None:
    async with program(tmp_path, "fail", "burst", "stay", "stay") as running:
        pids = await begun(running, 4)
        assert await running.asks("0 wait") == "7"
        assert await running.asks("1 wait") == "1"
        assert "ValueError: the boiler burst" in await running.log(1, "burst")
        assert await running.asks("2 stop") == str(-signal.SIGTERM)
        os.kill(pids[3], signal.SIGKILL)
        assert await running.asks("3 wait") == str(-signal.SIGKILL)


async def test_processes_are_told_apart_by_their_arguments(tmp_path: Path) -> None:
    async with program(tmp_path, "stay --here") as running:
        (pid,) = await begun(running, 1)
        await running.log(0, "here")
        assert cmdline(pid).strip() == "coffee stay --here"


async def test_nothing_forked_outlives_the_process_that_wanted_it(tmp_path: Path) -> None:
    async with program(tmp_path, "stay") as running:
        (pid,) = await begun(running, 1)
        server = parent_of(pid)
        running.process.kill()
        await running.process.wait()
        assert await gone(pid)
        assert await gone(server)


async def test_what_a_killed_fork_server_has_forked_ends_and_counts_as_killed(tmp_path: Path) -> None:
    async with program(tmp_path, "stay") as running:
        (pid,) = await begun(running, 1)
        os.kill(parent_of(pid), signal.SIGKILL)
        assert await running.asks("0 wait") == str(-signal.SIGKILL)
        assert await gone(pid)
