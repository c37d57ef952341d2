"""Who a load balancer says its client is, is believed to the letter from those that may say it, and no others."""

from __future__ import annotations

import asyncio
import ssl
import struct
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.data_plane.proxy_protocol import SIGNATURE, ProxyHeaderError, read_proxy_header
from gateway.data_plane.tls import TlsSettings, open_tls
from tests.gateway.data_plane.conftest import Start
from tests.support.certificates import write_certificate
from tests.support.raw_http import until
from tests.support.tls_client import encrypt

GET = b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n"
LOCAL = "127.0.0.0/8"


def version_2(command: int, family: int, rest: bytes) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(rest)) + rest


FOUR = ip_address("203.0.113.9").packed + ip_address("10.0.0.1").packed + struct.pack("!HH", 5000, 443)
SIX = ip_address("2001:db8::9").packed + ip_address("::1").packed + struct.pack("!HH", 5000, 443)

GOOD = [
    pytest.param(b"PROXY TCP4 203.0.113.9 10.0.0.1 5000 443\r\n", "203.0.113.9", id="version 1"),
    pytest.param(b"PROXY TCP6 2001:db8:0::9 ::1 5000 443\r\n", "2001:db8::9", id="version 1, IPv6"),
    pytest.param(b"PROXY UNKNOWN\r\n", "127.0.0.1", id="version 1, unknown"),
    pytest.param(b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", "127.0.0.1", id="version 1, unknown with addresses"),
    pytest.param(version_2(0x21, 0x11, FOUR), "203.0.113.9", id="version 2"),
    pytest.param(version_2(0x21, 0x21, SIX), "2001:db8::9", id="version 2, IPv6"),
    pytest.param(version_2(0x21, 0x11, FOUR + b"\x04\x00\x02ab"), "203.0.113.9", id="version 2, an extension"),
    pytest.param(version_2(0x20, 0x00, b""), "127.0.0.1", id="version 2, local"),
    pytest.param(version_2(0x20, 0x11, FOUR), "127.0.0.1", id="version 2, local with addresses"),
    pytest.param(version_2(0x21, 0x00, b""), "127.0.0.1", id="version 2, unspecified"),
]

BAD = [
    pytest.param(b"", id="none"),
    pytest.param(b"PROXY TCP4 203.0.113.9 10.0.0.1 5000 443\n", id="a line feed alone"),
    pytest.param(b"PROXY  TCP4 203.0.113.9 10.0.0.1 5000 443\r\n", id="two spaces"),
    pytest.param(b"proxy TCP4 203.0.113.9 10.0.0.1 5000 443\r\n", id="lower case"),
    pytest.param(b"PROXY TCP4 2001:db8::9 ::1 5000 443\r\n", id="IPv6 as IPv4"),
    pytest.param(b"PROXY TCP6 203.0.113.9 10.0.0.1 5000 443\r\n", id="IPv4 as IPv6"),
    pytest.param(b"PROXY TCP4 203.0.113.09 10.0.0.1 5000 443\r\n", id="a leading zero"),
    pytest.param(b"PROXY TCP4 203.0.113.9 10.0.0.1 65536 443\r\n", id="a port out of range"),
    pytest.param(b"PROXY TCP4 203.0.113.9 10.0.0.1 05000 443\r\n", id="a port with a zero"),
    pytest.param(b"PROXY TCP4 203.0.113.9 10.0.0.1 5000\r\n", id="a port missing"),
    pytest.param(b"PROXY UDP4 203.0.113.9 10.0.0.1 5000 443\r\n", id="another transport"),
    pytest.param(b"PROXY UNKNOWN " + b"x" * 200 + b"\r\n", id="too long a line"),
    pytest.param(version_2(0x11, 0x11, FOUR), id="version 2, another version"),
    pytest.param(version_2(0x22, 0x11, FOUR), id="version 2, another command"),
    pytest.param(version_2(0x21, 0x41, FOUR), id="version 2, another family"),
    pytest.param(version_2(0x21, 0x11, FOUR[:8]), id="version 2, addresses cut off"),
    pytest.param(version_2(0x21, 0x11, FOUR + b"\x04\x00\x09ab"), id="version 2, an extension too long"),
    pytest.param(version_2(0x21, 0x11, FOUR + b"\x04\x00"), id="version 2, an extension cut off"),
    pytest.param(SIGNATURE + struct.pack("!BBH", 0x21, 0x11, 5000) + bytes(5000), id="version 2, too long"),
]


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize(("header", "peer"), GOOD)
async def test_the_client_is_who_the_proxy_says(start: Start, header: bytes, peer: str, split: bool) -> None:
    plane = await start(proxied=LOCAL)
    async with await plane.client() as client:
        if split:
            for byte in (header + GET)[:-1]:
                client.send(bytes((byte,)))
                await client.flush()
                await asyncio.sleep(0)
            answer = await client.ask(GET[-1:])
        else:
            answer = await client.ask(header + GET)
        assert answer.status == 200
        assert (await client.ask(GET)).status == 200
    assert {line["peer"] for line in await plane.log(2)} == {peer}


@pytest.mark.parametrize("header", BAD)
async def test_what_is_not_to_the_letter_ends_the_connection(start: Start, header: bytes) -> None:
    plane = await start(proxied=LOCAL, wire={"head_timeout": 0.3})
    async with await plane.client() as client:
        client.send(header + GET)
        assert await client.closed()
    await until(lambda: plane.front.refused == 1, "it is counted")
    assert not plane.front.opening
    assert not plane.upstream.visits


async def test_from_others_it_is_no_request(start: Start) -> None:
    plane = await start(proxied="192.0.2.0/24")
    async with await plane.client() as client:
        assert (await client.ask(GET)).status == 200
        answer = await client.ask(b"PROXY TCP4 203.0.113.9 10.0.0.1 5000 443\r\n" + GET)
        assert (answer.status, answer.header(b"connection")) == (400, b"close")
    async with await plane.client() as client:
        client.send(version_2(0x21, 0x11, FOUR) + GET)
        assert b"HTTP/1.1 400" in await client.rest()
    assert {line["peer"] for line in await plane.log(3)} == {"127.0.0.1"}


async def test_one_that_says_nothing_is_not_waited_for(start: Start) -> None:
    plane = await start(proxied=LOCAL, wire={"head_timeout": 0.1})
    for begun in (b"", b"PROXY TCP4 203", SIGNATURE + b"\x21\x11\x00\x0c12"):
        async with await plane.client() as client:
            client.send(begun)
            assert await client.closed()
    await until(lambda: plane.front.refused == 3, "they are counted")


async def test_a_header_comes_before_the_handshake(start: Start, tmp_path: Path) -> None:
    write_certificate(tmp_path / "chain.pem", tmp_path / "key.pem")
    tls = open_tls(TlsSettings(certificate=tmp_path / "chain.pem", key=tmp_path / "key.pem"))
    plane = await start(proxied=LOCAL, tls=tls)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    async with await plane.client() as client:
        client.send(version_2(0x21, 0x21, SIX))
        session = await encrypt(client, context)
        session.send(GET)
        assert b"200 OK" in await session.read()
        (line,) = await plane.log(1)
    assert (line["status"], line["peer"]) == (200, "2001:db8::9")


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.binary(max_size=120).map(lambda data: b"PROXY TCP4 " + data + b"\r\n"),
        st.binary(max_size=60).map(lambda data: SIGNATURE + data),
    )
)
async def test_any_bytes_are_an_address_or_refused(data: bytes) -> None:
    left = data

    async def read(size: int) -> bytes:
        nonlocal left
        if len(left) < size:
            raise ConnectionResetError
        piece, left = left[:size], left[size:]
        return piece

    try:
        address = await read_proxy_header(read)
    except (ProxyHeaderError, ConnectionResetError):
        return
    assert not address or str(ip_address(address)) == address
