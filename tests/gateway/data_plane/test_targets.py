"""An upstream's address is read once, strictly."""

import pytest

from gateway.data_plane.targets import Target, read_target


@pytest.mark.parametrize(
    ("url", "target", "authority"),
    [
        ("http://127.0.0.1:7179", Target("127.0.0.1", 7179), b"127.0.0.1:7179"),
        ("http://modules.internal/", Target("modules.internal", 80), b"modules.internal:80"),
        ("http://[::1]:7179", Target("::1", 7179), b"[::1]:7179"),
        ("http://modules.internal;weight=3", Target("modules.internal", 80, weight=3), b"modules.internal:80"),
        ("unix:/run/modules.sock;weight=100", Target("", unix_path="/run/modules.sock", weight=100), b"localhost"),
        ("unix:/run/modules.sock", Target("", unix_path="/run/modules.sock"), b"localhost"),
    ],
)
def test_an_address_is_read(url: str, target: Target, authority: bytes) -> None:
    assert read_target(url) == target
    assert target.authority == authority


@pytest.mark.parametrize(
    "url",
    [
        "http://a;weight=0",
        "http://a;weight=101",
        "http://a;weight=x",
        "http://a;weight=",
        "http://a;w=1",
        "https://a",
        "ftp://a",
        "http://",
        "a:80",
        "http://a/b",
        "http://a?b",
        "http://u:p@a",
        "http://a:x",
        "",
        "unix:x",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - urlsplit has words of its own for a bad port
        read_target(url)
