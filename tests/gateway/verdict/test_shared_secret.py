"""A token of a shared secret is accepted where PyJWT accepts it, and says the same."""

from __future__ import annotations

import base64
import hmac
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.verdict.shared_secret import SharedSecrets, check_claims, ordinary, read_payload

SECRET = "shared-secret-tests-0123456789-abcdefghijklmnop-ABCDEFGHIJKLMNOP"
NOW = int(time.time())
REQUIRE = ["exp", "uid"]
GOOD: dict[str, Any] = {"uid": "7", "exp": NOW + 3600, "iss": "https://id.example", "aud": "coffee"}
PAYLOADS: dict[str, bytes] = {
    name: json.dumps(GOOD | changed).encode()
    for name, changed in {
        "good": {},
        "no uid": {"uid": None},
        "an end that is text": {"exp": str(NOW + 60)},
        "an end with spaces": {"exp": f" {NOW + 60} "},
        "an end with a fraction": {"exp": NOW + 60.9},
        "a fraction as text": {"exp": f"{NOW + 60}.5"},
        "an end that is true": {"exp": True},
        "an end that is a list": {"exp": [NOW + 60]},
        "an end that is an object": {"exp": {}},
        "endless": {"exp": float("inf")},
        "an end that is no number": {"exp": float("nan")},
        "within the leeway": {"exp": NOW - 2},
        "past the leeway": {"exp": NOW - 60},
        "a huge end": {"exp": 10**40},
        "not yet": {"nbf": NOW + 60},
        "not before nothing": {"nbf": None},
        "a moment ago": {"nbf": NOW - 60, "iat": NOW - 60},
        "issued later": {"iat": NOW + 60},
        "issued at a word": {"iat": "now"},
        "another issuer": {"iss": "https://evil.example"},
        "issuers": {"iss": ["https://id.example"]},
        "no issuer": {"iss": None},
        "audiences": {"aud": ["tea", "coffee"]},
        "another audience": {"aud": "tea"},
        "no audience": {"aud": []},
        "an audience that is a number": {"aud": 1},
        "audiences of which one is a number": {"aud": ["coffee", 1]},
        "an audience as a key": {"aud": {"coffee": 1}},
        "a subject": {"sub": "me", "jti": "one"},
        "a subject that is a number": {"sub": 1},
        "a subject that is nothing": {"sub": None},
        "a name that is a number": {"jti": 1},
        "a lone surrogate": {"name": "\ud800"},
        "a letter beyond": {"name": "\U0001f600"},
        "an account that is nothing": {"userAccountId": None},
    }.items()
} | {
    "twice the same": json.dumps(GOOD).replace("{", '{"uid": "1", ', 1).encode(),
    "twice the same, the end last": json.dumps(GOOD).replace("}", ', "exp": 1}', 1).encode(),
    "in UTF-16": json.dumps(GOOD).encode("utf-16"),
    "with a mark of its order": b"\xef\xbb\xbf" + json.dumps(GOOD).encode(),
    "an exponent past all numbers": json.dumps(GOOD).replace("}", ', "x": 1e999}').encode(),
    "a list": b"[1]",
    "text": b'"x"',
    "nothing": b" ",
    "null": b"null",
    "half": b'{"uid": ',
    "a letter that is none": json.dumps(GOOD).encode().replace(b"{", b'{"name": "\xff", ', 1),
    "not text": b"\xff\xfe\xfd",
    "deep": b'{"x":' * 2000 + b"1" + b"}" * 2000,
    "more behind": json.dumps(GOOD).encode() + b"{}",
}
ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def signed(segment: bytes, algorithm: str = "HS256", secret: str = SECRET) -> bytes:
    text = encoded(json.dumps({"alg": algorithm}).encode()) + b"." + segment
    return text + b"." + encoded(hmac.digest(secret.encode(), text, "sha" + algorithm[2:]))


def ours(token: bytes, algorithm: str = "HS256") -> dict[str, object] | None:
    try:
        said = read_payload(SharedSecrets([SECRET]).payload(token, algorithm))
        check_claims(said, require=REQUIRE, issuer="https://id.example", audience="coffee", leeway=5.0)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        return None
    return said


def theirs(token: bytes, algorithm: str = "HS256") -> dict[str, object] | None:
    try:
        said: dict[str, object] = jwt.decode(
            token,
            SECRET,
            algorithms=[algorithm],
            issuer="https://id.example",
            audience="coffee",
            leeway=5.0,
            options={"require": REQUIRE},
        )
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        return None
    return said


@pytest.mark.parametrize("name", PAYLOADS)
def test_it_is_as_strict_as_pyjwt(name: str) -> None:
    token = signed(encoded(PAYLOADS[name]))
    assert ours(token) == theirs(token)


IDS = {"sid": "s-1", "userAccountId": "8", "partnerId": "9"}
"""What a token of ours says besides."""


@pytest.mark.parametrize("name", PAYLOADS)
def test_what_is_ordinary_is_accepted_by_pyjwt_as_well_and_says_the_same(name: str) -> None:
    payload = PAYLOADS[name].replace(b"{", b"{" + json.dumps(IDS).encode()[1:-1] + b", ", 1)
    said = ordinary(payload, issuer="https://id.example", audience="coffee", leeway=5.0)
    if said is not None:
        meant = theirs(signed(encoded(payload)))
        assert meant is not None
        assert (said.uid, said.sid, said.user_account_id, said.partner_id) == ("7", "s-1", "8", "9")
        assert said.exp == meant["exp"]


@pytest.mark.parametrize("name", ["good", "a moment ago", "a subject", "a huge end"])
def test_what_nearly_every_token_says_is_ordinary(name: str) -> None:
    payload = json.dumps(json.loads(PAYLOADS[name]) | IDS).encode()
    assert ordinary(payload, issuer="https://id.example", audience="coffee", leeway=5.0) is not None
    assert ordinary(payload, issuer=None, audience=None, leeway=5.0) is not None
    assert ordinary(payload, issuer="https://other.example", audience=None, leeway=5.0) is None
    assert ordinary(payload, issuer=None, audience="tea", leeway=5.0) is None


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_each_algorithm_verifies_its_own_signatures_alone(algorithm: str) -> None:
    segment = encoded(PAYLOADS["good"])
    assert ours(signed(segment, algorithm), algorithm) == GOOD
    for other in {"HS256", "HS384", "HS512"} - {algorithm}:
        assert ours(signed(segment, other), algorithm) is None
    assert ours(signed(segment, algorithm, SECRET[::-1]), algorithm) is None


def test_a_second_spelling_of_the_same_bytes_is_refused() -> None:
    """The last letter of a segment has bits that no byte uses."""
    for cut in (b"", b" ", b"  "):
        segment = encoded(json.dumps(GOOD).encode() + cut)
        for letter in ALPHABET:
            spelled = segment[:-1] + bytes([letter])
            assert ours(signed(spelled)) == theirs(signed(spelled))
    token = signed(encoded(PAYLOADS["good"]))
    accepted = [letter for letter in ALPHABET if ours(token[:-1] + bytes([letter])) is not None]
    assert bytes(accepted) == token[-1:]


@pytest.mark.parametrize("segment", [b"", b"A", b"AAAAA", encoded(PAYLOADS["good"]) + b"="])
def test_a_segment_that_is_no_base64url_is_refused(segment: bytes) -> None:
    assert ours(signed(segment)) is None


def test_a_public_key_is_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    public = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    secrets = SharedSecrets([public, SECRET])
    segment = encoded(PAYLOADS["good"])
    with pytest.raises(jwt.InvalidSignatureError):
        secrets.payload(signed(segment, secret=public), "HS256")
    assert secrets.payload(signed(segment), "HS256") == PAYLOADS["good"]
    assert len(caplog.records) == 1, "once, and not for each token"
    assert SECRET not in caplog.text
