"""Secrets change without a restart, and never to something worse."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import jwt
import pytest

from coffee_core.domain.errors import CoffeeError
from coffee_core.testing.cache import until
from gateway.secret_files import read_secrets
from gateway.settings import GatewaySettings
from gateway.verdict.decision import Forward, Refused, RequestHead
from tests.gateway.verdict import rig
from tests.gateway.verdict.rig import KEY, SECRET, TARGET, Identity, User, decide, forwarded, header, refused, request

OTHER = "another-0123456789-ABCDEFGHIJKLMNOP-zyx"
THIRD = "third-9876543210-abcdefghijklmnopq-ZYXW"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "0 secrets"),
        ("# nothing\n\n", "0 secrets"),
        ("short\n", "secret 1 is too weak"),
        (f"{OTHER}\nchangeme\n", "secret 2 is too weak"),
        ("\n".join(OTHER + str(number) for number in range(17)), "17 secrets"),
        ("x" * 70_000, "longer than"),
        (b"\xff\xfe" * 32, "not UTF-8"),
    ],
)
def test_a_file_that_is_no_good_is_refused_in_a_sentence_without_a_secret(
    tmp_path: Path, content: str | bytes, says: str
) -> None:
    file = tmp_path / "secrets"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(CoffeeError, match=says) as caught:
        read_secrets(file)
    assert OTHER not in str(caught.value)
    assert "changeme" not in str(caught.value)


def test_a_gateway_does_not_start_with_a_weak_file(tmp_path: Path) -> None:
    file = tmp_path / "secrets"
    file.write_text("changeme")
    told = GatewaySettings(jwt_secrets_file=file, identity_signing_key_file=tmp_path / "none").problems()
    assert told == [
        f"{file}: secret 1 is too weak: at least 32 random bytes",
        f"{tmp_path}/none: No such file or directory",
    ]


async def test_a_secret_is_rotated_without_a_restart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, redis_url: str
) -> None:
    caplog.set_level(logging.DEBUG)
    secrets, key = tmp_path / "secrets", tmp_path / "key"
    secrets.write_text(f"# the present one\n{SECRET}\n")
    key.write_text(KEY)
    async with Identity.serve() as identity:
        config = rig.settings(
            identity,
            redis_url,
            jwt_secret=None,
            jwt_secrets_file=secrets,
            identity_signing_key=None,
            identity_signing_key_file=key,
            secrets_check_seconds=0.02,
        )
        async with rig.running(config) as built:
            user = User(identity)
            old = rig.remembered(request(TARGET, user.bearer()))
            token = jwt.encode(user.claims(), OTHER, algorithm="HS256")
            new = request(TARGET, (b"authorization", b"Bearer " + token.encode()))
            for _ in range(3):
                await forwarded(built, old)
            await refused(built, new, 401)

            async def becomes(head: RequestHead, kind: type[Forward | Refused]) -> None:
                async with asyncio.timeout(10):
                    while not isinstance(await decide(built, head), kind):
                        await asyncio.sleep(0.01)

            secrets.write_text(f"{OTHER}\n{SECRET}\n")
            await becomes(new, Forward)
            await forwarded(built, old)  # both, for as long as its tokens live

            secrets.write_text("changeme\n")
            await until(lambda: "the secrets stay as they were" in caplog.text)
            await forwarded(built, old)

            link = tmp_path / "next"
            link.write_text(OTHER)
            link.replace(secrets)
            await becomes(old, Refused)  # though it was verified before, and its session goes on
            await forwarded(built, new)

            key.write_text(THIRD)
            await until(lambda: built.core._parts.signer.key == THIRD)
            another = User(identity)
            identity.keys_of_gateway = (KEY, THIRD)
            token = jwt.encode(another.claims(), OTHER, algorithm="HS256")
            forward = await forwarded(built, request(TARGET, (b"authorization", b"Bearer " + token.encode())))
            jwt.decode(header(forward, b"x-bb-identity"), THIRD, algorithms=["HS256"], audience="saas")
    for secret in (SECRET, OTHER, THIRD, KEY):
        assert secret not in caplog.text
