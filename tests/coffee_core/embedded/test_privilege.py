"""Root becomes nobody, without making users or opening folders; an ordinary user stays who he is."""

import os
import pwd
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from coffee_core.embedded.child import Owner
from coffee_core.embedded.errors import EmbeddedServerError
from coffee_core.embedded.postgres import Postgres
from coffee_core.embedded.privilege import reachable_programs, server_owner
from coffee_core.embedded.server import Site
from coffee_core.embedded.servers import Servers, embedded_servers
from coffee_core.embedded.settings import EmbeddedSettings

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root drops privileges, and only root can try it")


ROOT = Path(__file__).parents[3]


def owner_of(pid: int) -> int:
    """The user whom a process runs as."""
    return Path(f"/proc/{pid}").stat().st_uid


def wheel(servers: Servers) -> Path:
    """The programs of the installed wheel."""
    return Postgres(Site(servers.folder, EmbeddedSettings(), durable=False))._programs()


@as_root
async def test_roots_postgres_is_nobody_though_its_folder_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "closed" / "coffee"
    folder.parent.mkdir(mode=0o700)
    async with Servers(folder, durable=False) as servers:
        connection = await asyncpg.connect(await servers.start("postgres"))
        await connection.execute("CREATE TABLE t AS SELECT 1 AS a; CHECKPOINT")
        await connection.close()
        assert owner_of(servers.child("postgres").pid) == pwd.getpwnam("nobody").pw_uid
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700


@as_root
async def test_programs_under_a_closed_folder_are_copied_where_nobody_can_run_them(
    servers: Servers, tmp_path: Path
) -> None:
    source = wheel(servers)
    package = source.parent.parent
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    shutil.copytree(source.parent, closed / package.name / source.parent.name, symlinks=True)
    libs = package.with_name(f"{package.name}.libs")
    if libs.exists():
        shutil.copytree(libs, closed / libs.name)
    bindir = closed / package.name / source.parent.name / "bin"
    copy = reachable_programs(bindir, server_owner())
    try:
        assert copy.is_relative_to("/var/tmp")
        assert reachable_programs(bindir, server_owner()) == copy, "the second time it is there"
        settings = EmbeddedSettings(postgres_bin=bindir)
        async with embedded_servers(tmp_path / "coffee", ["postgres"], settings=settings, durable=False) as urls:
            assert urls.database_url
        root = copy.parents[2]
        root.chmod(0o777)
        with pytest.raises(EmbeddedServerError, match="root alone"):
            reachable_programs(bindir, server_owner())
    finally:
        shutil.rmtree(copy.parents[2])


def test_programs_that_can_be_reached_are_used_in_place() -> None:
    assert reachable_programs(Path("/usr/bin"), Owner(65534, 65534)) == Path("/usr/bin").resolve()


ORDINARY = """
import asyncio, pathlib, asyncpg
from coffee_core.embedded.servers import embedded_servers
async def main():
    async with embedded_servers(pathlib.Path("coffee"), ["postgres", "valkey", "nats", "clickhouse"]) as urls:
        connection = await asyncpg.connect(urls.database_url)
        print(await connection.fetchval("SELECT 41 + 1"), all(urls))
        await connection.close()
asyncio.run(main())
"""


@as_root
def test_an_ordinary_user_needs_nothing_special(open_folder: Path) -> None:
    """With an interpreter of the same version that he can run, and the packages that are installed here."""
    python = shutil.which(f"python{sys.version_info.major}.{sys.version_info.minor}", path="/usr/bin:/usr/local/bin")
    if python is None:
        pytest.skip("no Python of this version that other users can run")
    subprocess.run([python, "-m", "venv", "--without-pip", open_folder / "venv"], check=True)
    (site,) = (open_folder / "venv").glob("lib/*/site-packages")
    (site / "here.pth").write_text("\n".join(path for path in sys.path if "site-packages" in path or path == str(ROOT)))
    home = open_folder / "home"
    home.mkdir()
    nobody = pwd.getpwnam("nobody")
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    done = subprocess.run(
        [open_folder / "venv" / "bin" / "python", "-c", ORDINARY],
        user=nobody.pw_uid,
        group=nobody.pw_gid,
        extra_groups=[],
        cwd=home,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "42 True\n", "")
