"""One API description over all modules."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import openapi_spec_validator

from coffee_core.domain.plan import Plan
from coffee_core.wire.message import BufferedBody, Request, Response
from gateway.edge.docs import Docs
from gateway.edge.openapi import MergedOpenApi, merge
from gateway.verdict.routes import GATEWAY_ROUTES, SERVICE_ROUTES, Route, RouteTable
from tests.support.raw_upstream import RawUpstream, Visit


def described(path: str, name: str, properties: dict[str, Any]) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{name}"}
    content = {"application/json": {"schema": reference}}
    answer = {"description": "ok", "content": content}
    return {
        "openapi": "3.1.0",
        "info": {"title": name, "version": "1"},
        "paths": {path: {"get": {"responses": {"200": answer}}}},
        "components": {"schemas": {name: {"type": "object", "properties": properties}}},
        "tags": [{"name": name}],
    }


OK = {"200": {"description": "ok"}}
TABLE = RouteTable([Route("reports", "/report-service/**", "saas", plan=Plan.PAID), *GATEWAY_ROUTES, *SERVICE_ROUTES])
TEXT = {"text": {"type": "string"}}
NUMBER = {"number": {"type": "integer"}}


def schema_of(merged: Any, path: str) -> Any:
    content = merged["paths"][path]["get"]["responses"]["200"]["content"]
    *_, name = content["application/json"]["schema"]["$ref"].split("/")
    return merged["components"]["schemas"][name]["properties"]


def test_paths_and_components_of_all_are_there_and_equal_ones_once() -> None:
    documents = [described("/a", "Item", TEXT), described("/b", "Item", TEXT), described("/c", "Other", NUMBER)]
    merged: Any = merge(documents)
    assert list(merged["paths"]) == ["/a", "/b", "/c"]
    assert sorted(merged["components"]["schemas"]) == ["Item", "Other"]
    openapi_spec_validator.validate(merged)


def test_components_of_one_name_that_differ_are_kept_apart() -> None:
    merged: Any = merge([described("/a", "Item", TEXT), described("/b", "Item", NUMBER), described("/c", "Item", TEXT)])
    assert [schema_of(merged, path) for path in ("/a", "/b", "/c")] == [TEXT, NUMBER, TEXT]
    openapi_spec_validator.validate(merged)


@asynccontextmanager
async def serving(document: dict[str, Any]) -> AsyncIterator[RawUpstream]:
    async def script(visit: Visit, _upstream: RawUpstream) -> None:
        while True:
            await visit.request()
            body = json.dumps(document).encode()
            visit.say(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))

    async with RawUpstream(script) as upstream:
        yield upstream


def a_request(path: str = "/openapi.json") -> Request:
    return Request("GET", path, b"", {}, BufferedBody())


async def test_what_answers_is_described_and_nothing_is_503() -> None:
    async with serving(described("/a", "Item", TEXT)) as upstream, httpx2.AsyncClient(trust_env=False) as client:
        there, gone = f"http://127.0.0.1:{upstream.port}", "http://127.0.0.1:1"
        answer = await MergedOpenApi([there, gone, there], client, TABLE).get(a_request())
        assert answer.status == 200
        assert list(json.loads(answer.body)["paths"]) == ["/a"]
        answer = await MergedOpenApi([gone], client, TABLE).get(a_request())
        assert answer.status == 503


async def test_what_a_plan_does_not_include_is_marked_for_it_and_says_what_does() -> None:
    email = {"type": ["string", "null"], "x-coffee-plan": "SAAS", "description": "How to write."}
    document = described("/x-service/api/x", "X", {"email": email, "name": {"type": "string"}})
    document["paths"]["/x-service/api/x/export"] = {"get": {"x-coffee-plan": "PAID", "summary": "All", "responses": OK}}
    document["paths"]["/report-service/api/x"] = {"get": {"summary": "A report", "responses": OK}}
    async with serving(document) as upstream, httpx2.AsyncClient(trust_env=False) as client:
        openapi = MergedOpenApi([f"http://127.0.0.1:{upstream.port}"], client, TABLE)
        seen: dict[str, Any] = {}
        for plan in ("", "FREE", "SAAS", "PAID"):
            request = a_request()
            request.headers = {b"x-bb-plan-type": plan.encode()} if plan else {}
            seen[plan] = json.loads((await openapi.get(request)).body)
            openapi_spec_validator.validate(seen[plan])
        asked = Request("GET", "/openapi.json", b"plan=FREE", {b"x-bb-plan-type": b"PAID"}, BufferedBody())
        assert json.loads((await openapi.get(asked)).body) == seen["FREE"]
        asked = Request("GET", "/openapi.json", b"plan=GOLD", {}, BufferedBody())
        assert (await openapi.get(asked)).status == 400

    def locked(plan: str) -> list[str]:
        field = schema_of(seen[plan], "/x-service/api/x")["email"]
        found = ["email"] if field.get("x-coffee-locked") else []
        return found + [path for path, item in seen[plan]["paths"].items() if item["get"].get("x-coffee-locked")]

    assert locked("") == locked("PAID") == []
    assert locked("SAAS") == ["/report-service/api/x", "/x-service/api/x/export"]
    assert locked("FREE") == ["email", *locked("SAAS")]
    assert schema_of(seen["FREE"], "/x-service/api/x")["email"]["description"] == (
        "Locked on FREE: null, and not to be filtered or sorted by; it needs SAAS. How to write."
    )
    export = seen["SAAS"]["paths"]["/x-service/api/x/export"]["get"]
    assert export["description"] == "Not included in SAAS: it needs PAID and is answered 402."


async def test_the_page_loads_nothing_from_elsewhere() -> None:
    docs = Docs()
    for path in ("/docs", "/docs/"):
        page: Response = await docs.get(a_request(path))
        assert page.status == 200
        assert b"//" not in page.body.replace(b"<!doctype", b"")
        assert b"default-src 'none'" in dict(page.headers)[b"content-security-policy"]
    for name in ("start.js", "swagger-ui.css", "swagger-ui-bundle.js"):
        assert (await docs.get(a_request(f"/docs/{name}"))).status == 200
    for name in ("LICENSE", "../app.py", "README.md", "%2e%2e/app.py"):
        assert (await docs.get(a_request(f"/docs/{name}"))).status == 404
