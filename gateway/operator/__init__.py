"""The operators' page and its API: what the gateway is doing, drawn; sessions, partners, and the log of acts."""
