"""Who is calling: what the gateway says is believed if it can be proved, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffee_core.domain.context import current
from coffee_core.domain.errors import ForbiddenError, InputError, UnauthenticatedError
from coffee_core.domain.plan import Plan
from coffee_core.http.identity import CallerReader, Identity
from coffee_core.http.settings import HttpSettings
from coffee_core.wire.identity import Caller
from coffee_core.wire.message import Request, Response
from tests.coffee_core.http.rig import CALLER_7, KEY, PARTNER_7, application, problem, request, route, signed

SIGNED = HttpSettings(access_log="off", identity_signing_key=KEY, audience="saas")  # type: ignore[arg-type]  # a secret's text


def a_reader(**more: object) -> CallerReader:
    return CallerReader(keys=[KEY.encode()], audience="saas", **more)  # type: ignore[arg-type]  # what a test says of it


async def who(_: Request) -> Response:
    me = current()
    return Response(200, orjson.dumps([me.partner_id, me.account_id, me.user_id, Plan(me.plan).name]))


async def test_the_plain_headers_are_believed_where_no_key_is_configured() -> None:
    response = await application(route(who)).handler(request())
    assert orjson.loads(response.body) == [7, 8, 9, "SAAS"]


async def test_a_caller_without_identity_is_anonymous_and_refused_by_default() -> None:
    response = await application(route(who)).handler(request(headers={}))
    assert problem(response)["type"] == "urn:coffee:problem:unauthenticated"
    assert response.status == 401


async def test_an_anonymous_caller_reaches_a_public_route_as_nobody() -> None:
    response = await application(route(who, public=True)).handler(request(headers={}))
    assert orjson.loads(response.body) == [None, None, None, "FREE"]


async def test_a_signed_identity_is_believed() -> None:
    response = await application(route(who), settings=SIGNED).handler(request(headers=signed()))
    assert orjson.loads(response.body) == [7, 8, 9, "SAAS"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param(lambda: PARTNER_7, 401, id="no statement"),
        pytest.param(lambda: {b"x-bb-uid": b"9"}, 401, id="a part of an identity without a statement"),
        pytest.param(lambda: signed(key="another key of 32 bytes or more..."), 401, id="signed by somebody else"),
        pytest.param(lambda: signed(audience="saas-data"), 401, id="meant for another process"),
        pytest.param(lambda: signed(lifetime=-60), 401, id="expired"),
        pytest.param(lambda: {**PARTNER_7, b"x-bb-identity": b"eyJ.nonsense"}, 401, id="no JWT"),
        pytest.param(lambda: signed(plain={**PARTNER_7, b"x-bb-partner-id": b"8"}), 403, id="another partner"),
        pytest.param(lambda: signed(plain={**PARTNER_7, b"x-bb-plan-type": b"PAID"}), 403, id="a larger plan"),
        pytest.param(lambda: signed(plain={**PARTNER_7, b"x-bb-uid": b"1"}), 403, id="another user"),
        pytest.param(lambda: signed(plain={}), 403, id="a statement alone"),
        pytest.param(
            lambda: {**signed(), b"x-bb-identity": signed()[b"x-bb-identity"] + b", " + signed()[b"x-bb-identity"]},
            401,
            id="two statements",
        ),
    ],
)
async def test_an_identity_that_is_not_proved_is_refused_on_public_routes_too(
    headers: Callable[[], Mapping[bytes, bytes]], status: int
) -> None:
    """The statements are made when the test runs: they live for a minute, and the tests are collected long before."""
    response = await application(route(who, public=True), settings=SIGNED).handler(request(headers=headers()))
    assert response.status == status
    assert b"eyJ" not in response.body


async def test_nobody_at_all_needs_no_statement() -> None:
    response = await application(route(who, public=True), settings=SIGNED).handler(request(headers={}))
    assert response.status == 200


@pytest.mark.parametrize("algorithm", ["none", "HS384"])
def test_the_algorithm_is_ours_to_choose(algorithm: str) -> None:
    import jwt

    claims = {"aud": "saas", "exp": 9_999_999_999, "iat": 0, "partnerId": "7"}
    forged = jwt.encode(claims, None if algorithm == "none" else KEY * 2, algorithm=algorithm).encode()
    with pytest.raises(UnauthenticatedError):
        a_reader().read({b"x-bb-partner-id": b"7", b"x-bb-identity": forged})


def test_a_statement_is_checked_once_and_remembered_until_it_expires() -> None:
    now = 0.0
    reader = CallerReader(keys=[KEY.encode()], audience="saas", clock=lambda: now)
    headers = signed(lifetime=60)
    assert reader.read(headers) is reader.read(headers)
    now = 99_999_999_999.0
    known = reader.read(headers)  # checked anew, against the real clock
    assert known == Identity(7, 8, 9, Plan.SAAS)


def test_a_remembered_statement_does_not_vouch_for_other_headers() -> None:
    reader = a_reader()
    headers = signed()
    reader.read(headers)
    with pytest.raises(ForbiddenError):
        reader.read({**headers, b"x-bb-partner-id": b"8"})


def test_no_more_callers_are_remembered_than_the_bound() -> None:
    reader = CallerReader(remembered=3)
    for partner in range(50):
        reader.read({b"x-bb-partner-id": str(partner).encode()})
    assert len(reader._known) == 3


def test_a_key_that_is_being_replaced_is_still_accepted() -> None:
    reader = CallerReader(keys=[b"the new key of the gateway, 32 bytes", KEY.encode()], audience="saas")
    assert reader.read(signed()) == Identity(7, 8, 9, Plan.SAAS)


@pytest.mark.parametrize(
    "text", [b"", b" 7", b"+7", b"-7", b"07", b"7, 8", b"7.0", b"0x7", b"\xd9\xa7", b"9223372036854775808", b"7" * 99]
)
def test_an_id_has_one_spelling(text: bytes) -> None:
    with pytest.raises(InputError):
        CallerReader().read({b"x-bb-partner-id": text, b"x-bb-uid": b"1"})


@given(st.integers(min_value=0, max_value=2**63 - 1))
def test_every_id_in_range_is_read(number: int) -> None:
    assert CallerReader().read({b"x-bb-partner-id": b"%d" % number}) == Identity(number, None, None, Plan.FREE)


@given(st.binary(max_size=30))
def test_whatever_stands_in_a_header_is_an_id_or_refused(text: bytes) -> None:
    try:
        identity = CallerReader().read({b"x-bb-partner-id": text})
    except InputError:
        return
    assert identity is not None
    assert str(identity.partner_id).encode() == text


@given(st.dictionaries(st.sampled_from(sorted(PARTNER_7)), st.binary(max_size=12)))
def test_without_a_valid_statement_no_headers_make_anybody(headers: dict[bytes, bytes]) -> None:
    if not headers:
        assert a_reader().read(headers) is None
        return
    with pytest.raises(UnauthenticatedError):
        a_reader().read(headers)


@pytest.mark.parametrize("plan", [b"GOLD", b"saas", b"SAAS, PAID", b"0"])
def test_a_plan_that_does_not_exist_is_refused(plan: bytes) -> None:
    with pytest.raises(InputError, match="FREE, SAAS, PAID"):
        CallerReader().read({b"x-bb-partner-id": b"7", b"x-bb-plan-type": plan})


def test_a_partner_whose_plan_is_not_said_has_the_smallest() -> None:
    assert CallerReader().read({b"x-bb-partner-id": b"7"}) == Identity(7, None, None, Plan.FREE)


def test_a_user_without_a_partner_is_refused() -> None:
    with pytest.raises(InputError, match="x-bb-partner-id"):
        CallerReader().read({b"x-bb-uid": b"9"})


def test_a_statement_names_the_caller_it_was_made_for() -> None:
    assert a_reader().read(signed(Caller("7"), plain={b"x-bb-partner-id": b"7"})) == Identity(7, None, None, Plan.FREE)
    assert CALLER_7.partner == "7"
