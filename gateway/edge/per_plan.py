"""The API description as one plan sees it: what it does not include is marked, and says what does.

Operations and fields say the plan they need in `x-coffee-plan`; the route table may ask for more. What is locked stays
in the description, because it is answered (402, or null with its name in `status.lockedFields`) and can be bought.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from coffee_core.domain.plan import Plan
from gateway.verdict.routes import Route, RouteTable

Json: TypeAlias = "Mapping[str, Json] | list[Json] | str | int | float | bool | None"
NEEDS = "x-coffee-plan"
LOCKED = "x-coffee-locked"
METHODS = frozenset(("get", "put", "post", "delete", "patch", "head", "options"))


def as_seen_on(plan: Plan, document: Mapping[str, Json], routes: RouteTable) -> dict[str, Json]:
    """A copy of the merged description for callers on `plan`."""
    paths = document.get("paths")
    assert isinstance(paths, Mapping)
    seen: dict[str, Json] = {name: _marked(value, plan) for name, value in document.items() if name != "paths"}
    seen["paths"] = {
        path: {
            method: _operation(method, path, value, plan, routes) if method in METHODS else _marked(value, plan)
            for method, value in item.items()
        }
        for path, item in paths.items()
        if isinstance(item, Mapping)
    }
    return seen


def _operation(method: str, path: str, operation: Json, plan: Plan, routes: RouteTable) -> Json:
    marked = _marked(operation, plan)
    if not isinstance(marked, Mapping):
        return marked
    route, _ = routes.find(method.upper().encode(), path.encode())
    needed = max(_plan(marked.get(NEEDS)), route.plan if isinstance(route, Route) else Plan.FREE)
    if needed <= plan:
        return marked
    told = f"Not included in {plan.name}: it needs {needed.name} and is answered 402."
    return {
        **marked,
        NEEDS: needed.name,
        LOCKED: True,
        "summary": f"\N{LOCK} {marked.get('summary', '')}".strip(),
        "description": f"{told}\n\n{marked.get('description', '')}".strip(),
    }


def _marked(value: Json, plan: Plan) -> Json:
    """The value, with every schema in it that needs a larger plan marked."""
    if isinstance(value, list):
        return [_marked(each, plan) for each in value]
    if not isinstance(value, Mapping):
        return value
    inner: dict[str, Json] = {name: _marked(each, plan) for name, each in value.items()}
    needed = _plan(value.get(NEEDS))
    if needed > plan and "responses" not in value:
        told = f"Locked on {plan.name}: null, and not to be filtered or sorted by; it needs {needed.name}."
        inner[LOCKED] = True
        inner["description"] = f"{told} {value.get('description', '')}".strip()
    return inner


def _plan(name: Json) -> Plan:
    return Plan[name] if isinstance(name, str) and name in Plan.__members__ else Plan.FREE
