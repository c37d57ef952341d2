"""Commands of other packages are found by their entry points, and imported only when they are asked for."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from coffee_core.cli import plugins
from coffee_core.cli.main import application, main
from coffee_core.domain.errors import CoffeeError

GROUPED = """
import typer
group = typer.Typer(help="Roast.")
@group.command()
def light() -> None:
    print("light roast")
@group.command()
def dark() -> None:
    print("dark roast")
def brew(cups: int = 1) -> None:
    "Brew some."
    print(f"{cups} cups")
def refuse() -> None:
    "Always refuses."
    from coffee_core.domain.errors import RuleError
    raise RuleError("the pot is empty: fill it")
number = 7
"""


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with entry points, as pip would lay it down."""
    (tmp_path / "coffee_roaster_plugin.py").write_text(GROUPED)
    info = tmp_path / "coffee_roaster_plugin-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: coffee-roaster-plugin\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[coffee.commands]\nroast = coffee_roaster_plugin:group\nbrew = coffee_roaster_plugin:brew\n"
        "refuse = coffee_roaster_plugin:refuse\nbroken = no_such_package_here:app\n"
        "numeral = coffee_roaster_plugin:number\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


def run(*arguments: str) -> str:
    return CliRunner().invoke(application(arguments), list(arguments)).output


def test_a_function_is_a_command_and_a_typer_app_a_group() -> None:
    assert run("brew", "--cups", "3") == "3 cups\n"
    assert run("roast", "dark") == "dark roast\n"


def test_a_command_that_cannot_be_imported_harms_no_other() -> None:
    assert run("brew") == "1 cups\n"
    with pytest.raises(CoffeeError, match="`coffee broken` cannot be loaded from `no_such_package_here:app`"):
        application(["broken"])


def test_what_is_neither_function_nor_app_is_refused() -> None:
    with pytest.raises(CoffeeError, match="neither a function nor a"):
        plugins.load_command("numeral")


def test_an_error_of_the_business_is_a_sentence_and_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["refuse"])
    assert ended.value.code == 1
    assert capsys.readouterr().err == "coffee: the pot is empty: fill it\n"


def test_help_lists_what_can_be_loaded() -> None:
    assert isinstance(plugins.load_command("roast"), typer.Typer)
    assert {"roast", "brew", "broken"} <= set(plugins.command_names())
    listed = run("--help")
    assert "Brew some." in listed
    assert "cannot be loaded" in listed
