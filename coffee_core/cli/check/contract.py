"""Two API descriptions (OpenAPI 3.1), compared: what would break a caller who relies on the older one.

What callers send may only become wider, what they get only narrower: a new optional parameter breaks nobody, a new
required one everybody; a field more in an answer breaks nobody, one less does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeAlias

from coffee_core.domain.plan import Plan

Schema: TypeAlias = Mapping[str, Any]  # parsed JSON: its keys are known by the OpenAPI standard only
Way: TypeAlias = Literal["sent", "answered"]
METHODS = ("get", "put", "post", "delete", "patch", "head", "options")
LOWEST = ("minimum", "exclusiveMinimum", "minLength", "minItems")
LARGEST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")


def breaking(old: Schema, new: Schema) -> list[str]:
    """A sentence for each change that breaks somebody, in the order of the older description."""
    return list(_Comparison(old, new).changes())


class _Comparison:
    def __init__(self, old: Schema, new: Schema) -> None:
        self._old, self._new = old, new
        self._compared: set[tuple[str, str, Way]] = set()

    def changes(self) -> Iterator[str]:
        for path, item in self._old.get("paths", {}).items():
            there = self._new.get("paths", {}).get(path)
            for method in METHODS:
                if method not in item:
                    continue
                name = f"{method.upper()} {path}"
                if there is None or method not in there:
                    yield f"{name} is gone: keep it, or serve the new form beside it"
                else:
                    self._compared.clear()
                    yield from self._operation(name, item[method], there[method])

    def _operation(self, name: str, old: Schema, new: Schema) -> Iterator[str]:
        if old.get("operationId") != new.get("operationId"):
            was, called = old.get("operationId"), new.get("operationId")
            yield f"{name} is called {called!r} and was {was!r}: generated clients change"
        if old.get("security") == [] and new.get("security") != []:
            yield f"{name} was public and needs a session now"
        if _plan(new) > _plan(old):
            yield f"{name} needs the plan {_plan(new).name} and needed {_plan(old).name}"
        yield from self._parameters(name, old, new)
        yield from self._bodies(name, old.get("requestBody"), new.get("requestBody"))
        for status, answer in old.get("responses", {}).items():
            if not status.startswith("2"):
                continue
            there = new.get("responses", {}).get(status)
            if there is None:
                yield f"{name} no longer answers {status}"
                continue
            for media, content in answer.get("content", {}).items():
                if media not in there.get("content", {}):
                    yield f"{name} no longer answers {media}"
                else:
                    found = there["content"][media].get("schema", {})
                    yield from self._schema(f"{name} answers", content.get("schema", {}), found, "answered")

    def _parameters(self, name: str, old: Schema, new: Schema) -> Iterator[str]:
        before = {(one["in"], one["name"]): one for one in old.get("parameters", ())}
        after = {(one["in"], one["name"]): one for one in new.get("parameters", ())}
        for key, one in before.items():
            if key not in after:
                if key[0] != "path":  # renamed only: paths are compared as they are written
                    yield f"{name}: the {key[0]} parameter {key[1]!r} is gone, and who sends it is refused"
                continue
            if after[key].get("required") and not one.get("required"):
                yield f"{name}: the {key[0]} parameter {key[1]!r} is required now: give it a default"
            yield from self._schema(f"{name}: {key[1]}", one.get("schema", {}), after[key].get("schema", {}), "sent")
        for key in after.keys() - before.keys():
            if after[key].get("required") and key[0] != "path":
                yield f"{name}: the new {key[0]} parameter {key[1]!r} is required: give it a default"

    def _bodies(self, name: str, old: Schema | None, new: Schema | None) -> Iterator[str]:
        if new is not None and new.get("required") and not (old or {}).get("required"):
            yield f"{name} needs a body now"
        if old is None:
            return
        if new is None:
            yield f"{name} takes no body any more"
            return
        for media, content in old.get("content", {}).items():
            if media not in new.get("content", {}):
                yield f"{name} no longer takes {media}"
            else:
                found = new["content"][media].get("schema", {})
                yield from self._schema(f"{name} takes", content.get("schema", {}), found, "sent")

    # -- schemas

    def _schema(self, place: str, old: Schema, new: Schema, way: Way) -> Iterator[str]:
        pair = (str(old.get("$ref", "")), str(new.get("$ref", "")), way)
        if pair[0] and pair in self._compared:
            return
        self._compared.add(pair)
        old, new = _resolved(self._old, old), _resolved(self._new, new)
        narrow, wide = (old, new) if way == "sent" else (new, old)
        before, after = (self._old, self._new) if way == "sent" else (self._new, self._old)
        asked, allowed = _types(before, narrow), _types(after, wide)
        if allowed and (not asked or asked - allowed):
            lost = _said(asked - allowed) or f"anything but {_said(allowed)}"
            yield f"{place}: {lost} {'is refused now' if way == 'sent' else 'may come now'}"
            return
        yield from self._values(place, narrow, wide, way)
        if _field_plan(new) > _field_plan(old):
            yield f"{place}: needs the plan {_field_plan(new).name} now"
        yield from self._object(place, self._branch(self._old, old), self._branch(self._new, new), way)

    def _values(self, place: str, narrow: Schema, wide: Schema, way: Way) -> Iterator[str]:
        for limit, narrower in [*((name, False) for name in LOWEST), *((name, True) for name in LARGEST)]:
            bound, before = wide.get(limit), narrow.get(limit)
            if (
                way == "sent"
                and bound is not None
                and (before is None or (before > bound if narrower else before < bound))
            ):
                yield f"{place}: {limit} is {bound} now and was {'open' if before is None else before}"
        allowed, asked = wide.get("enum"), narrow.get("enum")
        if allowed is not None and asked is not None and (extra := [one for one in asked if one not in allowed]):
            yield f"{place}: {_said(map(str, extra))} {'is refused now' if way == 'sent' else 'may come now'}"
        elif way == "sent" and allowed is not None and asked is None:
            yield f"{place}: takes only {_said(map(str, allowed))} now"

    def _branch(self, document: Schema, schema: Schema) -> Schema:
        """Of a choice with null, the other one."""
        parts = [part for part in schema.get("anyOf", ()) if part.get("type") != "null"]
        return _resolved(document, parts[0]) if len(parts) == 1 else schema

    def _object(self, place: str, old: Schema, new: Schema, way: Way) -> Iterator[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        needed, given = set(old.get("required", ())), set(new.get("required", ()))
        for name, one in before.items():
            if name not in after:
                closed = new.get("additionalProperties") is False
                if way == "answered" or closed:
                    sent = ", and who sends it is refused" if way == "sent" else ""
                    yield f"{place}: the field {name!r} is gone{sent}"
                continue
            if way == "answered" and name in needed - given:
                yield f"{place}: the field {name!r} may be missing now"
            yield from self._schema(f"{place} {name}", one, after[name], way)
        if way == "sent":
            for name in sorted(given - needed):
                yield f"{place}: the field {name!r} is required now: give it a default"
        if "items" in old and "items" in new:
            yield from self._schema(f"{place}[]", old["items"], new["items"], way)


def _resolved(document: Schema, schema: Schema) -> Schema:
    while "$ref" in schema:
        found: Any = document
        for step in str(schema["$ref"]).removeprefix("#/").split("/"):
            found = found[step]
        schema = found
    return schema


def _types(document: Schema, schema: Schema) -> set[str]:
    """The JSON types that a schema lets through; empty: any."""
    schema = _resolved(document, schema)
    if "anyOf" in schema:
        each = [_types(document, part) for part in schema["anyOf"]]
        return set().union(*each) if all(each) else set()
    kind = schema.get("type", ())
    found = {kind} if isinstance(kind, str) else set(kind)
    return found | {"integer"} if "number" in found else found


def _plan(operation: Schema) -> Plan:
    return Plan[operation.get("x-coffee-plan", "FREE")]


def _field_plan(schema: Schema) -> Plan:
    return Plan[schema.get("x-coffee-plan", "FREE")]


def _said(names: Any) -> str:  # an iterable of texts, in whatever order it has
    return ", ".join(sorted(names))
