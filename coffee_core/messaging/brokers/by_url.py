"""The broker that the settings name."""

from __future__ import annotations

from urllib.parse import urlsplit

from coffee_core.domain.errors import CoffeeError
from coffee_core.messaging.broker import Broker
from coffee_core.messaging.brokers.memory import MemoryBroker
from coffee_core.messaging.settings import MessagingSettings


def make_broker(settings: MessagingSettings) -> Broker:
    """Not yet connected. Without a URL messages stay in this process. Only the client that is needed is imported."""
    if settings.broker_url is None:
        return MemoryBroker(queue_length_max=settings.queue_length_max)
    url = settings.broker_url.get_secret_value()
    match urlsplit(url).scheme:
        case "amqp" | "amqps":
            from coffee_core.messaging.brokers.rabbit import RabbitMq

            return RabbitMq(url, settings)
        case "nats" | "tls":
            from coffee_core.messaging.brokers.nats import NatsJetStream

            return NatsJetStream(url, settings)
        case "redis" | "rediss" | "unix":
            from coffee_core.messaging.brokers.redis import RedisStreams

            return RedisStreams(url, settings)
        case scheme:
            raise CoffeeError(
                f"COFFEE_BROKER_URL begins with {scheme!r}: it must be amqp, amqps, nats, tls, redis, rediss or unix"
            )
