"""`/docs`: Swagger UI from files of our own, so that it works without a network and loads nothing from elsewhere."""

from __future__ import annotations

from importlib.resources import files

from coffee_core.wire.message import Request, Response
from gateway.edge.problem import problem

TYPES = {"html": b"text/html; charset=utf-8", "js": b"text/javascript", "css": b"text/css", "png": b"image/png"}
SERVED = ("index.html", "start.js", "swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png")
POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Docs:
    """The files, read at their first use."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}

    async def get(self, request: Request) -> Response:
        """The page, or one of its files."""
        name = request.path.removeprefix("/docs").strip("/") or "index.html"
        if name not in SERVED:
            return problem(request, 404, "nothing is here")
        content = self._files.get(name)
        if content is None:
            content = self._files[name] = files("gateway.edge").joinpath("static", name).read_bytes()
        return Response(
            200,
            content,
            content_type=TYPES[name.rpartition(".")[2]],
            headers=[
                (b"cache-control", b"public, max-age=3600"),
                (b"content-security-policy", POLICY),
                (b"x-content-type-options", b"nosniff"),
            ],
        )
