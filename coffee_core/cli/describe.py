"""Settings as people read them: the variable, its value, its default, and the sentence under the field."""

import ast
import difflib
import inspect
import itertools
import os
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from pydantic import AliasChoices, SecretBytes, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

PREFIX = "COFFEE_"

FOREIGN = ("COFFEE_TEST_", "COFFEE_SHARED_DATA")
"""Read by the project's tests and tools, not by a process of the platform."""

SECRET_WORDS = re.compile(r"SECRET|PASSWORD|TOKEN|(^|_)KEY($|_)")


class Setting(NamedTuple):
    """One setting of one class."""

    variable: str
    value: str
    default: str
    sentence: str


def settings_of(kind: type[BaseSettings], environ: Mapping[str, str] = os.environ) -> Iterator[Setting]:
    """Every field of the class, with secrets hidden; a value that does not parse is shown as it stands."""
    try:
        values: BaseSettings | None = kind()
    except ValidationError:
        values = None
    sentences = field_sentences(kind)
    for name, field in kind.model_fields.items():
        variable = variables_of(kind, name, field)[0]
        value = environ.get(variable) if values is None else getattr(values, name)
        default = "(required)" if field.is_required() else shown(variable, field.get_default(call_default_factory=True))
        yield Setting(variable, shown(variable, value), default, field.description or sentences.get(name, ""))


def shown(variable: str, value: object) -> str:
    """A value fit for a screen: no secrets, and no passwords of URLs."""
    if value is None or value is PydanticUndefined:
        return "(unset)"
    if isinstance(value, SecretStr | SecretBytes):
        return _without_password(str(value.get_secret_value())) if variable.endswith("_URL") else "(hidden)"
    if SECRET_WORDS.search(variable):
        return "(hidden)"
    return _without_password(str(value))


def _without_password(text: str) -> str:
    return re.sub(r"(?<=://)([^:/@\s]*):\S*@", r"\1:***@", text)


def variables_of(kind: type[BaseSettings], name: str, field: FieldInfo) -> list[str]:
    """The environment variables that set this field, the preferred one first, in upper case."""
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        return [choice.upper() for choice in alias.choices if isinstance(choice, str)]
    if isinstance(alias, str):
        return [alias.upper()]
    return [f"{kind.model_config.get('env_prefix', '')}{name}".upper()]


def mistakes(kinds: Iterable[type[BaseSettings]]) -> list[str]:
    """A sentence for every value that does not parse; the value itself is not repeated, it may be a secret."""
    found: list[str] = []
    for kind in kinds:
        try:
            kind()
        except ValidationError as error:
            for problem in error.errors(include_url=False, include_input=False, include_context=False):
                name, *path = [str(part) for part in problem["loc"]] or ["(all of it)"]
                field = kind.model_fields.get(name)
                variable = variables_of(kind, name, field)[0] if field else name
                found.append(f"{'.'.join([variable, *path])}: {problem['msg']}")
    return found


def unknown_variables(kinds: Iterable[type[BaseSettings]], environ: Mapping[str, str] = os.environ) -> list[str]:
    """A sentence for every COFFEE_* variable that no class knows, with the nearest name that one does."""
    known: set[str] = set()
    nested: list[str] = []
    for kind in kinds:
        delimiter = kind.model_config.get("env_nested_delimiter")
        for name, field in kind.model_fields.items():
            for variable in variables_of(kind, name, field):
                known.add(variable)
                if delimiter:
                    nested.append(variable + delimiter.upper())
    found: list[str] = []
    for variable in sorted(environ):
        name = variable.upper()
        if not name.startswith(PREFIX) or name.startswith(FOREIGN) or name in known or name.startswith(tuple(nested)):
            continue
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
        advice = f"did you mean {near[0]}?" if near else "`coffee settings` lists all that are known"
        found.append(f"{variable} is not a setting: {advice}")
    return found


def field_sentences(kind: type[BaseSettings]) -> dict[str, str]:
    """The docstrings under the fields, which Python itself does not keep (PEP 224 was not taken)."""
    sentences: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if base is BaseSettings or not issubclass(base, BaseSettings):
            continue
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        except (OSError, TypeError, SyntaxError):  # no source at hand: the names have to do
            continue
        body = next((node.body for node in tree.body if isinstance(node, ast.ClassDef)), [])
        for field, after in itertools.pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(after, ast.Expr):
                text = after.value
                if isinstance(text, ast.Constant) and isinstance(text.value, str):
                    sentences[field.target.id] = inspect.cleandoc(text.value)
    return sentences
