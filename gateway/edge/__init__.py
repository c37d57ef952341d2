"""Everything of the gateway that is not proxying: health, heartbeat, metrics, docs."""
