"""The servers that the fixtures hand out are what they say."""

import asyncpg
import nats
import pytest
import redis.asyncio


async def test_postgres_has_the_extensions_that_search_needs(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        assert await connection.fetchval("SELECT similarity('coffee', 'coffees')") > 0.5
        assert (await connection.fetchval("SELECT current_database()")).startswith("coffee_test_")
    finally:
        await connection.close()


async def test_redis_speaks_lua_streams_and_push(redis_url: str) -> None:
    async with redis.asyncio.from_url(redis_url) as client:
        assert await client.eval("return ARGV[1]", 0, "x") == b"x"
        identifier = await client.xadd("embedded-fixture", {"a": "1"})
        assert await client.xrange("embedded-fixture") == [(identifier, {b"a": b"1"})]


async def test_nats_keeps_messages(nats_url: str) -> None:
    connection = await nats.connect(nats_url)
    try:
        stream = connection.jetstream()
        await stream.add_stream(name="embedded-fixture", subjects=["embedded.fixture"])
        await stream.publish("embedded.fixture", b"kept")
        assert (await stream.get_last_msg("embedded-fixture", "embedded.fixture")).data == b"kept"
    finally:
        await connection.close()


@pytest.mark.rabbitmq
async def test_rabbitmq_answers_where_there_is_one(rabbitmq_url: str) -> None:
    assert rabbitmq_url.startswith("amqp")
