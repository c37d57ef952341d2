"""TLS in front of the same data plane: nothing else about a request changes, and certificates may be replaced."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from coffee_core.domain.errors import CoffeeError
from gateway.data_plane.tls import ServerTls, TlsSettings, open_tls
from tests.gateway.data_plane.conftest import Plane, Start
from tests.support.certificates import write_certificate
from tests.support.raw_http import BOUND, RawClient, until
from tests.support.raw_upstream import RawUpstream, Visit, polite
from tests.support.tls_client import encrypt

GET = b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n"


class Files:
    """A certificate with its key."""

    def __init__(self, folder: Path) -> None:
        self.certificate = folder / "chain.pem"
        self.key = folder / "key.pem"
        write_certificate(self.certificate, self.key)

    def tls(self, **settings: object) -> ServerTls:
        told = TlsSettings.model_validate({"certificate": self.certificate, "key": self.key, **settings})
        tls = open_tls(told)
        assert tls is not None
        return tls


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def trusting(*, maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = maximum
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def client(plane: Plane, context: ssl.SSLContext | None = None) -> RawClient:
    async with asyncio.timeout(BOUND):
        return RawClient(*await asyncio.open_connection("127.0.0.1", plane.port, ssl=context or trusting()))


def name_of(one: RawClient) -> object:
    """Whose certificate it was shown."""
    der = one.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    (name,) = x509.load_der_x509_certificate(der).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return name.value


async def test_requests_go_through_and_connections_are_kept(start: Start, files: Files) -> None:
    plane = await start(tls=files.tls())
    body = b"x" * 1_000_000
    async with await client(plane) as one:
        assert one.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
        for _ in range(3):
            assert (await one.ask(GET)).body == b"GET /a HTTP/1.1 "
        sent = b"PUT /x HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % len(body)
        assert (await one.ask(sent + body)).body == b"PUT /x HTTP/1.1 " + body
        one.send(GET * 5)
        assert [(await one.answer()).status for _ in range(5)] == [200] * 5
    assert len(plane.upstream.visits) == 1
    assert plane.front.scheme == b"https"
    await plane.at_rest()


@pytest.mark.parametrize("maximum", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_the_oldest_version_is_a_setting(start: Start, files: Files, maximum: ssl.TLSVersion) -> None:
    plane = await start(tls=files.tls(minimum="1.3"))
    if maximum is ssl.TLSVersion.TLSv1_3:
        async with await client(plane, trusting(maximum=maximum)) as one:
            assert (await one.ask(GET)).status == 200
    else:
        with pytest.raises(OSError):  # noqa: PT011 - how it is said depends on who is heard first
            await client(plane, trusting(maximum=maximum))


async def test_a_new_certificate_is_shown_to_new_connections_and_breaks_no_old_one(start: Start, files: Files) -> None:
    plane = await start(tls=files.tls(reload_seconds=0.01))
    async with await client(plane) as old:
        assert (await old.ask(GET)).status == 200
        write_certificate(files.certificate, files.key, "renewed.test")
        async with asyncio.timeout(BOUND):
            while True:
                async with await client(plane) as new:
                    assert (await new.ask(GET)).status == 200
                    if name_of(new) == "renewed.test":
                        break
        assert (await old.ask(GET)).status == 200
        assert name_of(old) == "gateway.test"


async def test_a_new_certificate_that_is_wrong_leaves_the_old_one(
    start: Start, files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    plane = await start(tls=files.tls(reload_seconds=0.01))
    write_certificate(files.certificate, files.key.with_name("other.pem"), "renewed.test")
    await until(lambda: "the old certificate stays" in caplog.text, "it was looked at")
    async with await client(plane) as one:
        assert (await one.ask(GET)).status == 200
        assert name_of(one) == "gateway.test"


async def test_what_is_no_handshake_is_closed_and_counted_and_leaves_nothing(start: Start, files: Files) -> None:
    plane = await start(tls=files.tls(handshake_timeout=0.2))
    before = descriptors()
    for sent in (GET, b"\x16\x03\x01\x00\x05hello", b""):
        async with await plane.client() as one:
            one.send(sent)
            async with asyncio.timeout(BOUND):
                assert b"HTTP" not in await one.reader.read(-1)
    (await plane.client()).reset()
    await until(lambda: plane.front.refused == 4, "they are counted")
    await until(lambda: not plane.front.opening, "none is in its handshake")
    await until(lambda: descriptors() <= before, "no descriptor is left")


async def test_an_answer_cut_short_has_no_proper_end(start: Start, files: Files) -> None:
    begun = asyncio.Event()

    async def script(visit: Visit, upstream: RawUpstream) -> None:
        await visit.request()
        visit.say(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await begun.wait()
        visit.reset()

    plane = await start(script, tls=files.tls())
    async with await client(plane) as one:
        one.send(b"GET /a HTTP/1.0\r\nhost: a\r\n\r\n")
        assert (await one.head())[0] == 200
        assert await one.reader.readexactly(5) == b"hello"
        begun.set()
        with pytest.raises(OSError):  # noqa: PT011 - a reset, or TLS that ended without saying so
            await one.reader.read(-1)
            raise one.reader.exception() or AssertionError("it looked complete")


async def test_a_refusal_and_a_client_that_leaves_end_cleanly(
    start: Start, files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    async def script(visit: Visit, upstream: RawUpstream) -> None:
        asked = await visit.request()
        upstream.asked.append(asked)
        if b"/wait" in asked.line:
            await visit.reader.read(-1)
        visit.say(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    plane = await start(script, tls=files.tls(), wire={"linger": 0.05, "half_close_grace": 0.05})
    async with await client(plane) as one:
        answer = await one.ask(b"GET  / HTTP/1.1\r\nhost: a\r\n\r\n")
        assert (answer.status, answer.header(b"connection")) == (400, b"close")
        assert await one.closed()
    one = await client(plane)
    one.send(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n")
    await until(lambda: bool(plane.upstream.asked), "it is in flight")
    one.writer.close()
    await plane.at_rest()
    assert plane.pool.open == 0
    assert "eof_received" not in caplog.text


async def test_a_handshake_under_way_is_finished_in_a_drain(start: Start, files: Files) -> None:
    plane = await start(polite, tls=files.tls(), wire={"drain_timeout": 5, "drain_idle": 1})
    raw = await plane.client()
    await until(lambda: len(plane.front.opening) == 1, "it is accepted")
    drain = asyncio.create_task(plane.front.drain())
    await until(lambda: plane.front.draining, "it drains")
    session = await encrypt(raw, trusting())
    session.send(GET)
    assert b"200 OK" in await session.read()
    raw.writer.close()
    async with asyncio.timeout(BOUND):
        await drain


def test_files_that_are_not_right_are_named(files: Files, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    write_certificate(tmp_path / "unused.pem", other)
    secret = tmp_path / "secret.pem"
    write_certificate(tmp_path / "unused.pem", secret, pass_phrase=b"words")
    for certificate, key, said in (
        (tmp_path / "none.pem", files.key, "No such file"),
        (files.certificate, other, "no certificate with its key"),
        (files.certificate, secret, "pass phrase"),
        (files.key, files.key, "no certificate with its key"),
    ):
        with pytest.raises(CoffeeError, match=said) as caught:
            open_tls(TlsSettings(certificate=certificate, key=key))
        assert str(certificate) in caught.value.detail or str(key) in caught.value.detail
    with pytest.raises(CoffeeError, match="set both"):
        open_tls(TlsSettings(key=files.key))
    assert open_tls(TlsSettings()) is None
