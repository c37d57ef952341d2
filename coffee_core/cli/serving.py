"""`coffee modules`: serve the installed modules, on our own server, granian or uvicorn."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from typing import Annotated

import typer

from coffee_core.cli.composition import MODULES, Composition, compose, find_modules
from coffee_core.cli.modules_settings import ModulesSettings, Server
from coffee_core.cli.settings import PlatformSettings
from coffee_core.domain.errors import CoffeeError
from coffee_core.http.application import Application
from coffee_core.http.asgi import AsgiApp
from coffee_core.http.entitlements import ME, Entitlements
from coffee_core.messaging.tables import FRAMEWORK
from coffee_core.metering.meter import Meter
from coffee_core.observability.logs import configure_logging
from coffee_core.observability.settings import ObservabilitySettings
from coffee_core.persistence.migrations.runner import History, pending
from coffee_core.rest.container import Module
from coffee_core.rest.route import Route
from coffee_core.wire.listen import bind
from coffee_core.wire.serve import run, serve
from coffee_core.wire.server import HandlerFront
from coffee_core.wire.settings import WireSettings


def modules(
    *,
    only: Annotated[list[str] | None, typer.Option(help="Serve this module alone; may be repeated.")] = None,
    but: Annotated[list[str] | None, typer.Option("--except", help="Leave this module out; may be repeated.")] = None,
    host: Annotated[str | None, typer.Option(help="The address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="The port to listen on.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes.")] = None,
    server: Annotated[Server | None, typer.Option(help="Which HTTP server serves.")] = None,
) -> None:
    """Serve the installed modules until SIGTERM or SIGINT; SIGHUP replaces the workers one by one."""
    given = {"only": ",".join(only or ()), "but": ",".join(but or ()), "host": host, "port": port}
    given |= {"workers": workers, "server": server}
    told = {name: value for name, value in given.items() if value not in (None, "")}
    settings = ModulesSettings(**told)  # type: ignore[arg-type]  # names and types are those of the fields
    names = [module.name for module in _modules(settings)]
    typer.echo(f"serving {', '.join(names)} on http://{settings.host}:{settings.port} ({settings.server})")
    if settings.server == "coffee":
        _on_coffee(settings)
        return
    os.environ["COFFEE_MODULES_ONLY"], os.environ["COFFEE_MODULES_BUT"] = settings.only, settings.but
    (_on_granian if settings.server == "granian" else _on_uvicorn)(settings)


def application(composition: Composition) -> Application:
    """The application over composed modules: its start opens them, its end closes them."""
    services: dict[str, list[Route]] = {}
    for module, mounted in zip(composition.modules, composition.mounted, strict=True):
        services.setdefault(module.service, []).extend(mounted.routes)
    meter = composition.container.find(Meter)
    services[ME] = [Entitlements(services, meter, elsewhere=lambda: _elsewhere(composition)).route()]
    open_parts = AsyncExitStack()

    async def start() -> None:
        await open_parts.enter_async_context(composition.opened())

    return Application(
        services,
        metrics=composition.container.metrics,
        on_start=[start],
        on_stop=[open_parts.aclose],
        startup=[lambda: _migrated(composition)],
        ready=[composition.store.check, *(check for mounted in composition.mounted for check in mounted.checks)],
    )


def _elsewhere(composition: Composition) -> dict[str, list[Route]]:
    """The routes of installed modules that another process serves: what a caller may do there is told here as well."""
    services: dict[str, list[Route]] = {}
    here = {module.name for module in composition.modules}
    for module in find_modules():
        if module.name not in here:
            with suppress(LookupError):  # what cannot be mounted cannot be served elsewhere either
                services.setdefault(module.service, []).extend(module.mount(composition.container).routes)
    return services


async def _migrated(composition: Composition) -> str | None:
    """Whether the tables are those that this code was written for."""
    histories = [FRAMEWORK, *(History(m.name, m.migrations) for m in composition.modules if m.migrations is not None)]
    missing = await pending(composition.store.settings.url.get_secret_value(), histories)
    return f"migrations are not applied ({', '.join(missing)}): run `coffee migrate`" if missing else None


def asgi() -> AsgiApp:
    """The application for any ASGI server: `granian --interface asgi --factory coffee_core.cli.serving:asgi`."""
    configure_logging(ObservabilitySettings())
    return application(compose(_modules(ModulesSettings()))).asgi()


def _modules(settings: ModulesSettings) -> list[Module]:
    found = find_modules(_names(settings.only), _names(settings.but))
    if not found:
        raise CoffeeError(f"there is no module to serve: packages bring them by the entry-point group {MODULES}")
    return found


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _on_coffee(settings: ModulesSettings) -> None:
    async def main(sockets: Sequence[socket.socket]) -> None:
        configure_logging(ObservabilitySettings())
        bounds = WireSettings()
        app = application(compose(_modules(settings)))
        machines = HandlerFront(app.operations, bounds)

        async def start() -> None:
            await app.start()
            await machines.start([_metrics_socket(settings)])

        async def stop() -> None:
            await machines.drain()
            await app.stop()

        await serve(app.handler, sockets=sockets, settings=bounds, on_start=start, on_drain=app.drain, on_stop=stop)

    run(main, host=settings.host, port=settings.port, workers=settings.workers)


def _metrics_socket(settings: ModulesSettings) -> socket.socket:
    """Each worker has a port of its own for its metrics: the first free one, beginning with COFFEE_METRICS_PORT."""
    first = PlatformSettings().metrics_port
    for port in range(first, first + settings.workers):
        with suppress(OSError):
            return bind(settings.host, port)[0]
    raise CoffeeError(f"metrics: port {first} is taken; set COFFEE_METRICS_PORT to a free one")


def _on_uvicorn(settings: ModulesSettings) -> None:
    try:
        import uvicorn
    except ImportError:
        raise CoffeeError("uvicorn is not installed: install coffee-core[servers]") from None
    uvicorn.run(
        "coffee_core.cli.serving:asgi",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        log_config=None,
        access_log=False,
    )


def _on_granian(settings: ModulesSettings) -> None:
    try:
        from granian.constants import Interfaces
        from granian.server import Server as Granian
    except ImportError:
        raise CoffeeError("granian is not installed: install coffee-core[servers]") from None
    Granian(
        "coffee_core.cli.serving:asgi",
        address=settings.host,
        port=settings.port,
        workers=settings.workers,
        interface=Interfaces.ASGI,
        factory=True,
        log_access=False,
    ).serve()
