"""Settings of messages: the broker, what waits in memory, handlers, the outbox."""

from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class MessagingSettings(BaseSettings):
    """Which broker, and the bounds of publishing and handling."""

    model_config = SettingsConfigDict(
        env_prefix="COFFEE_MESSAGING_", frozen=True, use_attribute_docstrings=True, populate_by_name=True
    )

    broker_url: SecretStr | None = Field(default=None, validation_alias="COFFEE_BROKER_URL")
    """`amqp://` or `amqps://` (RabbitMQ), `nats://` or `tls://` (JetStream), `redis://`, `rediss://` or `unix://`
    (streams). Unset: messages stay inside the process that raised them."""
    connect_seconds: float = Field(default=5.0, gt=0)
    """How long connecting to the broker may take."""
    publish_seconds: float = Field(default=5.0, gt=0)
    """How long the broker may take to confirm one message; then it counts as unavailable."""
    waiting_max: int = Field(default=10_000, ge=1)
    """After-commit events that wait in memory for the broker; one more is lost, counted and logged."""
    waiting_max_bytes: int = Field(default=64 * 1024 * 1024, ge=1024)
    """The same in bytes."""
    announced_seconds: float = Field(default=0.002, ge=0, le=60)
    """How long what is announced of stored records may gather before it is made into messages: together they cost
    less."""
    announced_max: int = Field(default=128, ge=1)
    """Announced events that do not wait for it any longer."""
    publishers: int = Field(default=16, ge=1, le=1000)
    """Messages that are being published at the same moment, in one process, from memory."""
    close_seconds: float = Field(default=5.0, ge=0)
    """Time that what waits in memory gets when the process ends; what is left then is lost, counted and logged."""
    message_max_bytes: int = Field(default=900_000, ge=1024)
    """Body and headers of one message; raising a larger event is an error. NATS takes 1 MiB unless told otherwise."""
    queue_length_max: int = Field(default=1_000_000, ge=1)
    """Messages one queue of the broker holds; then it refuses new ones, and the outbox keeps them."""
    rabbit_queue_type: Literal["quorum", "classic"] = "quorum"
    """Type of the queues that are declared on RabbitMQ; an existing queue keeps its own."""
    prefetch: int = Field(default=10, ge=1, le=1000)
    """Messages of one topic in hand at the same moment, in one process, where a listener says nothing else.
    With 1, and one worker, the messages of a topic are handled in the order in which they arrive."""
    handler_seconds: float = Field(default=60.0, gt=0)
    """How long one attempt at handling a message may take."""
    retries: int = Field(default=3, ge=0, le=20)
    """Further attempts after a handler has failed."""
    retry_seconds: float = Field(default=0.1, gt=0)
    """Pause before the first further attempt; it doubles each time, and up to a half of it is taken off at random."""
    again_seconds: float = Field(default=1.0, gt=0)
    """Pause before a message is taken again because the database did not answer; doubles with each delivery."""
    again_max_seconds: float = Field(default=30.0, gt=0)
    """Longest such pause."""
    deliveries_max: int = Field(default=50, ge=1)
    """A message that was delivered this often without an outcome (it kills the process, or the database is gone for
    long) goes to the dead letters."""
    abandoned_seconds: float = Field(default=30.0, gt=0)
    """A message in the hands of a worker that was not heard of for this long is given to another. A living worker
    renews three times in this time. RabbitMQ needs none of it: it notices when the connection ends."""
    drain_seconds: float = Field(default=25.0, ge=0)
    """Time that messages and jobs in hand get when a worker is told to stop; then they are given back, to be done
    again by another. Kubernetes kills after 30 s unless told otherwise."""
    inbox_days: float = Field(default=7.0, gt=0)
    """How long the ids of handled messages are remembered: a repetition after that takes effect again."""


class OutboxSettings(BaseSettings):
    """How the outbox is relayed."""

    model_config = SettingsConfigDict(env_prefix="COFFEE_OUTBOX_", frozen=True, use_attribute_docstrings=True)

    batch: int = Field(default=200, ge=1, le=10_000)
    """Messages read at once."""
    concurrency: int = Field(default=32, ge=1, le=1000)
    """Keys of one batch that are published side by side; the messages of one key go one after another."""
    poll_seconds: float = Field(default=1.0, gt=0)
    """How often the table is looked at when no notification comes."""
    lease_seconds: float = Field(default=15.0, gt=0)
    """How long a relay that has died keeps others from its share; a living one renews three times in this time."""
    attempts_max: int = Field(default=5, ge=1)
    """A message that the broker refuses this often is set aside, and the next ones of its key go on."""
    backoff_seconds: float = Field(default=1.0, gt=0)
    """Pause after the broker refused a message or did not answer; doubles up to `backoff_max_seconds`."""
    backoff_max_seconds: float = Field(default=30.0, gt=0)
    """Longest such pause."""
    lag_seconds: float = Field(default=60.0, gt=0)
    """Readiness fails when the oldest message waits longer than this."""
