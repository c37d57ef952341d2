"""Every command of the project: `nox -s up` runs the platform, `nox -s tests` proves it, the rest keep it in shape."""

from pathlib import Path

import nox

# uv, where it is there, installs in seconds what takes pip minutes; nothing is needed beside nox
nox.options.default_venv_backend = "uv|venv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "types", "imports", "tests"]

STAMP = "coffee-installed"


def install(session: nox.Session, *requirements: str, stamp: str) -> None:
    """Install once for each state of pyproject.toml: a second run starts at once."""
    marker = Path(session.virtualenv.location) / STAMP
    wanted = stamp + Path("pyproject.toml").read_text(encoding="utf-8")
    if not marker.exists() or marker.read_text(encoding="utf-8") != wanted:
        session.install(*requirements)
        marker.write_text(wanted, encoding="utf-8")


@nox.session
def up(session: nox.Session) -> None:
    """Run the whole platform on this machine: nothing else needs to be installed or running."""
    install(session, "-e", ".[embedded]", stamp="up")
    session.run("coffee", "up", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests on embedded servers, or on those that COFFEE_TEST_*_URL name."""
    install(session, "-e", ".[dev]", stamp="dev")
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format."""
    install(session, "ruff>=0.17,<0.18", stamp="lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check types with mypy --strict and pyright."""
    install(session, "-e", ".[dev]", stamp="dev")
    session.run("mypy")
    session.run("pyright")


@nox.session
def imports(session: nox.Session) -> None:
    """Check that every import follows the arrows of docs/architecture.md."""
    install(session, "import-linter>=2.5", stamp="imports")
    session.run("lint-imports")


@nox.session
def docs(session: nox.Session) -> None:
    """Run every snippet of README and docs, and check their links."""
    install(session, "-e", ".[dev]", stamp="dev")
    session.run("pytest", "tests/docs", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure the hot paths beside their peers, in one run; ratios go to docs/performance."""
    install(session, "-e", ".[dev,bench]", stamp="bench")
    session.run("python", "-m", "tests.benchmarks", *session.posargs)
