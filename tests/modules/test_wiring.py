"""The page that lists the modules says what is installed."""

from importlib.metadata import entry_points

from modules.wiring import MODULES


def test_every_module_of_the_page_is_registered_and_every_registered_one_is_on_the_page() -> None:
    registered = {entry.load() for entry in entry_points(group="coffee.modules") if entry.value.startswith("modules.")}
    assert registered == set(MODULES)
