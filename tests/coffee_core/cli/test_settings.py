"""`coffee settings`: everything is said, nothing secret is shown, and a typing error stops the start."""

import os
import subprocess
import sys
from pathlib import Path

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from coffee_core.cli.describe import field_sentences, mistakes, settings_of, shown, unknown_variables


class RoastSettings(BaseSettings):
    """An example."""

    model_config = SettingsConfigDict(env_prefix="COFFEE_ROAST_", env_nested_delimiter="__")

    degrees: int = 220
    """How hot. Degrees Celsius."""

    password: SecretStr | None = None
    """Opens the roaster."""

    beans: dict[str, int] = Field(default_factory=dict)
    """Grams of each kind."""

    renamed: str = Field(default="a", validation_alias=AliasChoices("COFFEE_NEW_NAME", "COFFEE_OLD_NAME"))
    """Has two names."""


def coffee(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does, in an environment of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("COFFEE_")}
    return subprocess.run(
        [sys.executable, "-m", "coffee_core.cli.main", *arguments],
        env=clean | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_sentence_under_a_field_is_its_meaning() -> None:
    assert field_sentences(RoastSettings)["degrees"] == "How hot. Degrees Celsius."


def test_a_setting_shows_variable_value_and_default(monkeypatch) -> None:
    monkeypatch.setenv("COFFEE_ROAST_DEGREES", "180")
    rows = {row.variable: row for row in settings_of(RoastSettings)}
    assert (rows["COFFEE_ROAST_DEGREES"].value, rows["COFFEE_ROAST_DEGREES"].default) == ("180", "220")
    assert "COFFEE_NEW_NAME" in rows


def test_secrets_and_passwords_in_urls_are_hidden() -> None:
    assert shown("COFFEE_ROAST_PASSWORD", SecretStr("s3cret")) == "(hidden)"
    assert shown("COFFEE_JWT_SECRET", "s3cret") == "(hidden)"
    assert shown("COFFEE_DATABASE_URL", SecretStr("postgresql://me:s3c@ret@h/db")) == "postgresql://me:***@h/db"
    assert shown("COFFEE_ROAST_DEGREES", 220) == "220"


def test_an_unknown_variable_is_answered_with_the_nearest_name() -> None:
    assert unknown_variables([RoastSettings], {"COFFEE_ROAST_DEGRES": "1"}) == [
        "COFFEE_ROAST_DEGRES is not a setting: did you mean COFFEE_ROAST_DEGREES?"
    ]


def test_nested_renamed_and_test_variables_are_known() -> None:
    environ = {"COFFEE_ROAST_BEANS__ROBUSTA": "3", "COFFEE_OLD_NAME": "b", "COFFEE_TEST_REDIS_URL": "x", "HOME": "/"}
    assert unknown_variables([RoastSettings], environ) == []


def test_a_wrong_value_is_named_and_not_repeated(monkeypatch) -> None:
    monkeypatch.setenv("COFFEE_ROAST_DEGREES", "hot-and-secret")
    (sentence,) = mistakes([RoastSettings])
    assert sentence.startswith("COFFEE_ROAST_DEGREES: ")
    assert "hot-and-secret" not in sentence


def test_coffee_settings_prints_them_all() -> None:
    done = coffee("settings", COFFEE_DATABASE_URL="postgresql://me:s3cret@db/x")
    assert done.returncode == 0, done.stderr
    assert "COFFEE_DATABASE_URL=postgresql://me:***@db/x" in done.stdout
    assert "s3cret" not in done.stdout
    assert "COFFEE_EMBEDDED_START_SECONDS=30.0" in done.stdout


def test_coffee_settings_fails_on_a_variable_that_nobody_reads() -> None:
    done = coffee("settings", COFFEE_REDIS_ULR="x")
    assert done.returncode == 1
    assert "COFFEE_REDIS_ULR is not a setting: did you mean COFFEE_REDIS_URL?" in done.stdout


def test_version_names_the_package(tmp_path: Path) -> None:
    assert coffee("version").stdout.startswith("coffee ")
