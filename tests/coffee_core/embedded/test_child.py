"""A child never outlives its parent, whichever of the two is faster."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from coffee_core.embedded import bound
from coffee_core.embedded.child import Child, Command, bound_log
from coffee_core.embedded.errors import EmbeddedServerError

TIE = [sys.executable, "-I", "-S", bound.__file__]


def shell(tmp_path: Path, script: str, name: str = "shell") -> Child:
    """A child that runs a line of shell."""
    return Child(Command(name=name, argv=["/bin/sh", "-c", script], cwd=tmp_path, log=tmp_path / f"{name}.log"))


def test_a_child_whose_parent_died_before_it_was_tied_does_nothing(tmp_path: Path) -> None:
    """The kernel signals a death that comes; one that has been must be asked for."""
    for parent, output in ((os.getpid(), b"ran\n"), (os.getpid() + 1, b"")):
        command = [*TIE, str(parent), "15", "-", str(tmp_path), "/bin/echo", "ran"]
        assert subprocess.run(command, capture_output=True, check=True).stdout == output


def test_a_child_started_from_a_thread_that_ends_lives_on(tmp_path: Path) -> None:
    """The death signal is bound to the thread that forks: one that ends must not take the child along."""
    child = shell(tmp_path, "echo up; exec sleep 600")

    def start_and_end() -> None:
        # not uvloop: libuv's SIGCHLD is the process's, and a second loop takes it along when it closes
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(_start(child))

    starter = threading.Thread(target=start_and_end)
    starter.start()
    starter.join()
    assert _state(child.pid) not in {"", "Z"}
    os.kill(child.pid, signal.SIGTERM)


async def _start(child: Child) -> None:
    await child.start()
    async with asyncio.timeout(10):
        while "up" not in child.tail():
            await asyncio.sleep(0.01)


async def test_a_child_sees_nothing_of_our_environment_but_what_it_is_given(tmp_path: Path) -> None:
    child = shell(tmp_path, "env")
    await child.finish()
    names = {line.partition("=")[0].strip() for line in child.tail().splitlines()}
    assert names <= {"PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE"}  # what the shell and the interpreter set themselves


async def test_a_child_that_does_not_stop_is_killed_with_its_own_children(tmp_path: Path) -> None:
    child = shell(tmp_path, "trap '' TERM; sleep 600 & echo $!; wait")
    await child.start()
    async with asyncio.timeout(10):
        while not child.tail().strip().isdigit():
            await asyncio.sleep(0.01)
    grandchild = int(child.tail())
    assert await child.stop(0.1) == -signal.SIGKILL
    async with asyncio.timeout(10):
        while _state(grandchild) not in {"", "Z"}:
            await asyncio.sleep(0.01)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""


async def test_a_failure_quotes_the_end_of_the_log(tmp_path: Path) -> None:
    child = shell(tmp_path, "for i in $(seq 100); do echo line $i; done; exit 4")
    with pytest.raises(EmbeddedServerError, match=r"(?s)shell failed with status 4.*line 100") as failed:
        await child.finish()
    assert "line 79\n" not in failed.value.detail


async def test_stopping_what_never_ran_is_nothing(tmp_path: Path) -> None:
    assert await shell(tmp_path, "true").stop(1) is None


async def test_a_log_is_begun_anew_under_its_writer(tmp_path: Path) -> None:
    child = shell(tmp_path, "echo 0123456789; read line < pipe; echo after")
    os.mkfifo(tmp_path / "pipe")
    await child.start()
    async with asyncio.timeout(10):
        while "0123456789" not in child.tail():
            await asyncio.sleep(0.01)
    bound_log(child.command.log, limit=20)
    assert "0123456789" in child.tail(), "it is within the bound"
    bound_log(child.command.log, limit=5)
    await asyncio.to_thread((tmp_path / "pipe").write_text, "go\n")
    assert await child.wait() == 0
    assert (tmp_path / "shell.log").read_text() == "after\n"
    assert (tmp_path / "shell.log.1").read_text() == "0123456789\n"
    assert (tmp_path / "shell.log.1").stat().st_mode & 0o077 == 0
