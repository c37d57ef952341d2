"""A path has one meaning, or none."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffee_core.wire.errors import WireError
from coffee_core.wire.target import Target, decode_path, normalise


@pytest.mark.parametrize(
    ("sent", "path", "query"),
    [
        pytest.param(b"/", b"/", b"", id="the root"),
        pytest.param(b"/a/b-c_d~e.f/", b"/a/b-c_d~e.f/", b"", id="a trailing slash stays"),
        pytest.param(b"/a?x=%2F..//#"[:-1], b"/a", b"x=%2F..//", id="the query is raw"),
        pytest.param(b"/a?b?c", b"/a", b"b?c", id="the first question mark splits"),
        pytest.param(b"/%41%7e%2d", b"/A~-", b"", id="unreserved characters lose their escapes"),
        pytest.param(b"/%c3%a9", b"/%C3%A9", b"", id="hex digits are upper case"),
        pytest.param(b"/a%3Bb;c", b"/a%3Bb;c", b"", id="escapes of reserved characters stay"),
        pytest.param(b"/a|[b]", b"/a%7C%5Bb%5D", b"", id="what has no place in a path is escaped"),
        pytest.param(b"/%252F", b"/%252F", b"", id="twice encoded is decoded once"),
        pytest.param(b"/.well-known/x..y/...", b"/.well-known/x..y/...", b"", id="dots that are no dot segments"),
    ],
)
def test_a_target_has_one_spelling(sent: bytes, path: bytes, query: bytes) -> None:
    assert normalise(sent) == Target(path, query)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"/a/../b", id="dot dot"),
        pytest.param(b"/a/./b", id="dot"),
        pytest.param(b"/..", id="dot dot at the end"),
        pytest.param(b"/a/%2e%2E/b", id="encoded dot dot"),
        pytest.param(b"/a/.%2e/b", id="half encoded dot dot"),
        pytest.param(b"/a/..;x=1/b", id="dot dot with a parameter"),
        pytest.param(b"/a/..%3Bx/b", id="dot dot with an encoded parameter"),
        pytest.param(b"/a/%2e;/b", id="encoded dot with a parameter"),
        pytest.param(b"/a%2fb", id="encoded slash"),
        pytest.param(b"/a%5Cb", id="encoded backslash"),
        pytest.param(b"/a\\b", id="backslash"),
        pytest.param(b"/a//b", id="empty segment"),
        pytest.param(b"//evil.example/a", id="network-path reference"),
        pytest.param(b"/a%00b", id="NUL"),
        pytest.param(b"/a%0d%0ab", id="encoded line end"),
        pytest.param(b"/a%7f", id="DEL"),
        pytest.param(b"/a%c2%85", id="C1 control"),
        pytest.param(b"/a%c0%af", id="overlong slash"),
        pytest.param(b"/a%ff", id="not UTF-8"),
        pytest.param(b"/a%ed%a0%80", id="a surrogate"),
        pytest.param(b"/a%", id="lone percent"),
        pytest.param(b"/a%4", id="half an escape"),
        pytest.param(b"/a%zz", id="no hex digits"),
        pytest.param(b"/a%u0041", id="the other escape"),
        pytest.param(b"/a#b", id="fragment"),
        pytest.param(b"/a?b#c", id="fragment after the query"),
        pytest.param(b"/a\xc3\xa9", id="raw UTF-8"),
        pytest.param(b"/a?\xc3\xa9", id="raw UTF-8 in the query"),
        pytest.param(b"/a b", id="space"),
        pytest.param(b"/a?b\x00", id="NUL in the query"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"a/b", id="relative"),
        pytest.param(b"*", id="asterisk form"),
        pytest.param(b"http://a/b", id="absolute form"),
        pytest.param(b"a:80", id="authority form"),
    ],
)
def test_a_target_with_two_meanings_is_refused(sent: bytes) -> None:
    with pytest.raises(WireError) as refused:
        normalise(sent)
    assert refused.value.status == 400


@given(st.binary(max_size=40).map(lambda tail: b"/" + tail))
def test_normalising_again_changes_nothing(sent: bytes) -> None:
    try:
        once = normalise(sent)
    except WireError:
        return
    assert normalise(once.path + (b"?" + once.query if once.query else b"")) == once


@given(
    st.lists(
        st.sampled_from([b"/", b".", b"..", b"%2e", b"%2F", b"%5c", b"\\", b";", b"a", b"%25", b"%3b", b"%00", b"?"])
    )
)
def test_what_passes_has_no_dot_segment_and_no_second_slash(parts: list[bytes]) -> None:
    try:
        path = normalise(b"/" + b"".join(parts)).path
    except WireError:
        return
    text = decode_path(path)
    assert text.startswith("/")
    assert text.count("/") == path.count(b"/")
    assert not {".", ".."} & {segment.partition(";")[0] for segment in text.split("/")}
    assert "" not in text.split("/")[1:-1]
    assert "\\" not in text
    assert "\x00" not in text


@given(st.lists(st.text(min_size=1), max_size=5))
def test_a_decoded_path_is_what_was_encoded(segments: list[str]) -> None:
    try:
        path = normalise(
            "/".join(["", *(quote(s.encode("utf-8", "surrogatepass"), safe="") for s in segments)]).encode()
        ).path
    except WireError:
        return
    assert decode_path(path) == "/".join(["", *segments])


@given(st.binary(max_size=40).map(lambda tail: b"/" + tail))
def test_a_path_that_passes_can_stand_in_a_log_line_as_it_is(sent: bytes) -> None:
    """The access log writes it between the quotes of JSON without looking: it can neither end the text nor the line."""
    try:
        path = normalise(sent).path
    except WireError:
        return
    assert path.isascii()
    assert path.decode().isprintable()
    assert not {'"', "\\", " "} & set(path.decode())


LINE = '{"route": "forged"}'


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\x0b", "\x85", "\u2028", "\x00"])
def test_no_target_forges_a_log_line(end: str) -> None:
    with pytest.raises(WireError):
        normalise(f"/a{end}{LINE}".encode())
    if end == "\u2028":  # no control character: it stays escaped
        assert b"\n" not in normalise(b"/a" + quote(end + LINE).encode()).path
        return
    with pytest.raises(WireError):
        normalise(b"/a" + quote(end + LINE).encode())
