"""Tokens of every wrong kind."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from coffee_core.domain.secrets import weak_secret
from gateway.build import BuiltVerdict
from gateway.verdict.decision import Forward
from gateway.verdict.jwks import _keys
from tests.gateway.verdict import rig
from tests.gateway.verdict.rig import SECRET, TARGET, Identity, User, decide, forwarded, refused, request

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
PEM = RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def encoded(part: bytes | dict[str, Any]) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def forged(user: User, header: dict[str, Any], secret: bytes = SECRET.encode()) -> str:
    """A token with a header of one's own, signed by HMAC whatever the header says."""
    signing = f"{encoded(header)}.{encoded(user.claims())}"
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(signing.encode(), secret)
    return f"{signing}.{encoded(signature)}"


def as_bearer(token: str) -> tuple[bytes, bytes]:
    return (b"authorization", b"Bearer " + token.encode("latin-1"))


WRONG = {
    "alg none": lambda user: f"{encoded({'alg': 'none'})}.{encoded(user.claims())}.",
    "alg none with a signature": lambda user: forged(user, {"alg": "none", "typ": "JWT"}),
    "alg None": lambda user: forged(user, {"alg": "None"}),
    "no alg": lambda user: forged(user, {"typ": "JWT"}),
    "alg is a list": lambda user: forged(user, {"alg": ["HS256"]}),
    "an algorithm that is not allowed": lambda user: jwt.encode(user.claims(), SECRET * 2, algorithm="HS512"),
    "another secret": lambda user: jwt.encode(user.claims(), SECRET[::-1], algorithm="HS256"),
    "expired": lambda user: user.token(exp=int(time.time()) - 60),
    "without an end": lambda user: jwt.encode(
        {name: value for name, value in user.claims().items() if name != "exp"}, SECRET, algorithm="HS256"
    ),
    "an end that is no number": lambda user: forged_claims(user, exp="soon"),
    "not yet valid": lambda user: user.token(nbf=int(time.time()) + 600),
    "issued in the future": lambda user: user.token(iat=int(time.time()) + 600),
    "a critical extension": lambda user: forged(user, {"alg": "HS256", "crit": ["exp"], "exp": 1}),
    "an unencoded payload": lambda user: forged(user, {"alg": "HS256", "b64": False, "crit": ["b64"]}),
    "brings a key by URL": lambda user: forged(user, {"alg": "HS256", "jku": "https://evil.example/jwks"}),
    "brings a key": lambda user: forged(user, {"alg": "HS256", "jwk": {"kty": "oct", "k": "AAAA"}}),
    "brings a certificate": lambda user: forged(user, {"alg": "HS256", "x5u": "https://evil.example/c"}),
    "a statement about an identity": lambda user: forged(user, {"alg": "HS256", "typ": "service+jwt"}),
    "huge": lambda user: user.token(filler="x" * 5000),
    "padded": lambda user: user.token() + "=",
    "bad base64": lambda user: user.token().replace(".", ".%", 1),
    "two parts": lambda user: user.token().rpartition(".")[0],
    "four parts": lambda user: user.token() + ".x",
    "not ASCII": lambda user: user.token() + "\xe9",
    "nothing readable": lambda user: "aaaa.bbbb.cccc",
    "a header that is a list": lambda user: f"{encoded(b'[]')}.{encoded(user.claims())}.AAAA",
    "a deep header": lambda user: f"{encoded(b'[' * 1000)}.{encoded(user.claims())}.AAAA",
    "claims that are a list": lambda user: signed_raw(b"[1]"),
    "no session id": lambda user: jwt.encode(
        {name: value for name, value in user.claims().items() if name != "sid"}, SECRET, algorithm="HS256"
    ),
    "a session id with a path in it": lambda user: user.token(sid="../../x"),
    "a session id that is another key": lambda user: user.token(sid="x y"),
    "a partner with a line end": lambda user: user.token(partnerId="1\r\nx-bb-uid: 2"),
    "a partner that is true": lambda user: user.token(partnerId=True),
}


def forged_claims(user: User, **changed: Any) -> str:
    return signed_raw(json.dumps(user.claims() | changed).encode())


def signed_raw(payload: bytes) -> str:
    return jwt.PyJWS().encode(payload, SECRET, algorithm="HS256", headers={"typ": "JWT"})


@pytest.mark.parametrize("kind", WRONG)
async def test_a_wrong_token_is_refused(verdict: BuiltVerdict, identity: Identity, kind: str) -> None:
    user = User(identity)
    refusal = await refused(verdict, request(TARGET, as_bearer(WRONG[kind](user))), 401)
    assert (b"www-authenticate", b'Bearer realm="coffee", error="invalid_token"') in refusal.headers
    assert isinstance(await decide(verdict, request(TARGET, user.bearer())), Forward)


@pytest.mark.parametrize("value", [b"Bearer", b"Bearer ", b"Basic YTpi", b"Bearertoken", b"Token x"])
async def test_another_scheme_is_no_token(verdict: BuiltVerdict, value: bytes) -> None:
    await refused(verdict, request(TARGET, (b"authorization", value)), 401)


async def test_the_scheme_may_be_in_any_case(verdict: BuiltVerdict, identity: Identity) -> None:
    token = User(identity).token().encode()
    await forwarded(verdict, request(TARGET, (b"authorization", b"bEaReR  " + token)))


async def test_issuer_and_audience_are_required_where_they_are_configured(identity: Identity) -> None:
    config = rig.settings(identity, None, jwt_issuer="https://id.example", jwt_audience="coffee")
    async with rig.running(config) as built:
        user = User(identity)
        good = {"iss": "https://id.example", "aud": "coffee"}
        await forwarded(built, request(TARGET, user.bearer(**good)))
        for spoiled in ({"iss": "https://evil.example"}, {"aud": "tea"}, {"aud": ["tea"]}):
            await refused(built, request(TARGET, user.bearer(**(good | spoiled))), 401)
        await refused(built, request(TARGET, user.bearer(aud="coffee")), 401)


async def test_a_secret_can_be_changed_without_logging_everyone_out(identity: Identity) -> None:
    fresh = "another-secret-for-tests-9876543210-zyxwv"
    async with rig.running(rig.settings(identity, None, jwt_secret=fresh, jwt_previous_secret=SECRET)) as built:
        user = User(identity)
        await forwarded(built, request(TARGET, user.bearer()))
        await forwarded(built, request(TARGET, as_bearer(jwt.encode(user.claims(), fresh, algorithm="HS256"))))


def jwk(key: Any, kid: str, algorithm: str) -> dict[str, Any]:
    described: dict[str, Any] = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    return described | {"kid": kid, "use": "sig", "alg": algorithm}


def asymmetric(user: User, key: Any, kid: str, algorithm: str) -> tuple[bytes, bytes]:
    return as_bearer(jwt.encode(user.claims(), key, algorithm=algorithm, headers={"kid": kid}))


async def test_public_keys_verify_rotate_and_are_asked_for_sparingly() -> None:
    async with rig.Identity.serve() as identity:
        identity.keys = [jwk(RSA, "r1", "RS256"), jwk(EC, "e1", "ES256"), {"kty": "oct", "kid": "o1", "k": "AAAA"}]
        config = rig.settings(
            identity,
            None,
            jwt_algorithms="HS256,RS256,ES256,EdDSA",
            jwks_url=identity.url + "/jwks",
        )
        async with rig.running(config) as built:
            user = User(identity)
            await forwarded(built, request(TARGET, asymmetric(user, RSA, "r1", "RS256")))
            await forwarded(built, request(TARGET, asymmetric(user, EC, "e1", "ES256")))
            assert identity.asked["/jwks"] == 1
            # the public key is no shared secret, and a key is for its own algorithm alone
            signed_with_public = forged(user, {"alg": "HS256", "kid": "r1"}, PEM)
            await refused(built, request(TARGET, as_bearer(signed_with_public)), 401)
            await refused(built, request(TARGET, asymmetric(user, EC, "r1", "ES256")), 401)
            await refused(built, request(TARGET, asymmetric(user, RSA, "e1", "RS256")), 401)
            await refused(
                built, request(TARGET, as_bearer(forged(user, {"alg": "HS256", "kid": "o1"}, b"\0\0\0"))), 401
            )
            for kid in ("made-up", "made-up", "also-made-up"):
                await refused(built, request(TARGET, asymmetric(user, ED, kid, "EdDSA")), 401)
            assert identity.asked["/jwks"] <= 2


async def test_a_rotated_key_is_found_and_a_lost_url_keeps_the_known_ones() -> None:
    async with rig.Identity.serve() as identity:
        identity.keys = [jwk(RSA, "r1", "RS256")]
        config = rig.settings(identity, None, jwt_algorithms="RS256,EdDSA", jwks_url=identity.url + "/jwks")
        async with rig.running(config) as built:
            user = User(identity)
            await forwarded(built, request(TARGET, asymmetric(user, RSA, "r1", "RS256")))
            jwks = built.core._parts.verifier._jwks
            assert jwks is not None
            identity.keys = [jwk(ED, "d1", "EdDSA")]
            jwks._tried -= 10  # the last look at the URL was a while ago
            await forwarded(built, request(TARGET, asymmetric(user, ED, "d1", "EdDSA")))
            identity.status = 500
            jwks._tried -= 10
            jwks._fetched -= 400
            other = User(identity)
            known = await jwks.find("d1")
            assert known is not None
            identity.status = 200
            await forwarded(built, request(TARGET, asymmetric(other, ED, "d1", "EdDSA")))


async def test_without_any_keys_the_answer_is_503_and_not_401() -> None:
    async with rig.Identity.serve() as identity:
        identity.status = 500
        config = rig.settings(identity, None, jwt_algorithms="RS256", jwks_url=identity.url + "/jwks")
        async with rig.running(config) as built:
            refusal = await refused(built, request(TARGET, asymmetric(User(identity), RSA, "r1", "RS256")), 503)
            assert any(name == b"retry-after" for name, _ in refusal.headers)


@pytest.mark.parametrize(
    ("secret", "weak"),
    [
        pytest.param("secret", True, id="the word itself"),
        pytest.param("a" * 64, True, id="one letter many times"),
        pytest.param("changeme" * 4, True, id="a word many times"),
        pytest.param("abcdefghijklmnopqrstuvwxyz01234", True, id="31 bytes"),
        pytest.param(SECRET, False, id="long and mixed"),
    ],
)
def test_a_weak_secret_is_told_from_a_good_one(secret: str, weak: bool) -> None:
    assert weak_secret(secret) is weak


async def test_an_end_beyond_all_numbers_is_no_end(verdict: BuiltVerdict, identity: Identity) -> None:
    await refused(verdict, request(TARGET, User(identity).bearer(exp=10**400)), 401)


@pytest.mark.parametrize(
    "odd", [{"kty": ["RSA"]}, {"kty": "RSA", "alg": ["RS256"]}, {"kty": "RSA", "alg": "none"}, {"kty": "EC", "crv": 1}]
)
def test_one_odd_key_spoils_no_other(odd: dict[str, object]) -> None:
    good = jwk(RSA, "good", "RS256")
    assert list(_keys({"keys": [{**good, "kid": "odd", **odd}, good]})) == ["good"]
