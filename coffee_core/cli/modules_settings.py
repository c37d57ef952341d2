"""Settings of `coffee modules`, apart from it: every command reads them, and need not import a server for that."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Server = Literal["coffee", "granian", "uvicorn"]


class ModulesSettings(BaseSettings):
    """What `coffee modules` serves, and where; an option on the command line counts more."""

    model_config = SettingsConfigDict(env_prefix="COFFEE_MODULES_", frozen=True, use_attribute_docstrings=True)

    host: str = "127.0.0.1"
    """The address to listen on, for requests and for metrics."""

    port: int = Field(default=7179, ge=0, le=65535)
    """The port to listen on; 0 is a free one."""

    workers: int = Field(default=1, ge=1, le=256)
    """Processes."""

    server: Server = "coffee"
    """`coffee` is the fastest; `granian` has HTTP/2; `uvicorn` is widely known."""

    only: Annotated[str, NoDecode] = ""
    """Modules to serve, separated by commas; empty: all."""

    but: Annotated[str, NoDecode] = ""
    """Modules not to serve, separated by commas."""
