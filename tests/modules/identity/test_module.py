"""What the module says of itself."""

from __future__ import annotations

from typing import Any

from openapi_spec_validator import OpenAPIV31SpecValidator

from coffee_core.http.openapi.document import document
from tests.modules.identity.rig import Service


def schemas(service: Service) -> dict[str, Any]:
    described = document([mount for mount in service.application.router.mounts if mount.service])
    assert [error.message for error in OpenAPIV31SpecValidator(described).iter_errors()] == []
    found: dict[str, Any] = described["components"]["schemas"]
    return found


async def test_its_description_is_valid_and_nothing_that_is_answered_has_a_place_for_a_secret(service: Service) -> None:
    answered = {name: schema for name, schema in schemas(service).items() if not name.endswith("Input")}
    fields = {field for schema in answered.values() for field in schema.get("properties", {})}
    assert {"email", "accessToken", "planType"} <= fields
    assert not [field for field in fields if "password" in field.lower() or "hash" in field.lower()]


def test_the_form_of_a_logout_is_described_and_its_answer_has_no_body(service: Service) -> None:
    described = document([mount for mount in service.application.router.mounts if mount.service])
    logout = described["paths"]["/identity-service/api/auth/backchannel-logout"]["post"]
    assert logout["requestBody"]["content"].keys() == {"application/x-www-form-urlencoded"}
    assert "logout_token" in described["components"]["schemas"]["LogoutTokenFormInput"]["properties"]
    assert "content" not in logout["responses"]["200"]


async def test_only_who_cannot_have_a_session_yet_needs_none(service: Service) -> None:
    public = {route.name for route in service.mounted.routes if route.public}
    for_people = {"auth_login", "auth_refresh", "auth_logout", "auth_google", "auth_google_callback"}
    assert public == for_people | {"auth_backchannel_logout", "auth_verify", "partners_plan"}
