"""Who calls, what they paid for, where to: decided without a transport, a file a step."""
