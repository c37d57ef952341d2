"""Who may call: partners, accounts, users, contracts, and the sessions that the gateway asks about."""
