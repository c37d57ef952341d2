"""Log lines: structured, with their request, without secrets; and the batches of the hot path."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
import threading

import msgspec
import orjson
import pytest

from coffee_core.domain.context import CURRENT, RequestContext
from coffee_core.observability.lines import BATCH, LineWriter
from coffee_core.observability.logs import JsonFormatter, RequestFilter, TextFormatter


def a_logger(formatter: logging.Formatter) -> tuple[logging.Logger, io.StringIO]:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(formatter)
    handler.addFilter(RequestFilter())
    logger = logging.getLogger("coffee.test")
    logger.propagate = False
    logger.handlers.clear()
    logger.addHandler(handler)
    return logger, out


def test_a_line_is_json_and_names_its_request() -> None:
    logger, out = a_logger(JsonFormatter())
    token = CURRENT.set(RequestContext(request_id="r-1", partner_id=7, user_id=424242))
    try:
        logger.warning("%d rows", 5, extra={"table_name": "x"})
    finally:
        CURRENT.reset(token)
    line = orjson.loads(out.getvalue())
    assert line.pop("ts") > 0
    assert line == {
        "level": "WARNING",
        "log": "coffee.test",
        "message": "5 rows",
        "tableName": "x",
        "requestId": "r-1",
        "partnerId": 7,
    }


def test_a_line_outside_of_any_request_has_no_request() -> None:
    logger, out = a_logger(JsonFormatter())
    logger.warning("started")
    assert "requestId" not in orjson.loads(out.getvalue())


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_no_secret_gets_into_a_line(formatter: logging.Formatter) -> None:
    logger, out = a_logger(formatter)
    try:
        raise ConnectionError("postgresql://coffee:hunter2@db/coffee")
    except ConnectionError:
        logger.exception(
            "password=%s",
            "hunter2",
            extra={"token": "hunter2", "request": {"cookie": "hunter2"}, "url": "a://b:hunter2@c"},
        )
    assert "hunter2" not in out.getvalue()
    assert "ConnectionError" in out.getvalue()


def test_a_message_with_line_breaks_stays_one_line() -> None:
    logger, out = a_logger(JsonFormatter())
    logger.warning('a\nb {"level":"forged"}')
    assert len(out.getvalue().splitlines()) == 1


class Line(msgspec.Struct):
    number: int


def test_lines_are_written_in_order_and_none_is_lost() -> None:
    read, write = os.pipe()
    received = bytearray()

    def drain() -> None:
        while data := os.read(read, 65_536):
            received.extend(data)

    reader = threading.Thread(target=drain)
    reader.start()
    lines = LineWriter(write, lines_max=1_000_000)
    for number in range(3 * BATCH + 5):
        lines.add(Line(number))
    lines.close()
    os.close(write)
    reader.join()
    os.close(read)
    assert [orjson.loads(line)["number"] for line in received.splitlines()] == list(range(3 * BATCH + 5))
    assert lines.dropped == 0


def test_a_destination_that_stands_still_costs_lines_and_never_blocks() -> None:
    read, write = os.pipe()
    lines = LineWriter(write, lines_max=2 * BATCH)
    for number in range(50 * BATCH):  # far more than a pipe holds
        lines.add(Line(number))
    assert lines.dropped > 0
    os.close(read)  # the reader is gone: what was being written fails, and is counted
    lines.close()
    os.close(write)


def test_nothing_is_kept_where_no_log_is_wanted() -> None:
    lines = LineWriter(None)
    for number in range(5 * BATCH):
        lines.add(Line(number))
    lines.close()
    assert lines.dropped == 0


def test_requests_of_our_own_are_not_written_with_their_queries() -> None:
    """Whatever level is asked for: they name sessions and people."""
    script = (
        "import httpx2, logging, os\n"
        "from coffee_core.observability.logs import configure_logging\n"
        "from coffee_core.observability.settings import ObservabilitySettings\n"
        "configure_logging(ObservabilitySettings(log_level='DEBUG'))\n"
        "answer = httpx2.MockTransport(lambda request: httpx2.Response(200))\n"
        "httpx2.Client(transport=answer).get('http://identity/verify?sid=a-session')\n"
        "logging.getLogger('coffee').info('done')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert '"message":"done"' in done.stderr
    assert "a-session" not in done.stderr
