"""Events out, messages in: outbox, listeners, message middleware, brokers."""
