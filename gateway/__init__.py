"""The front door: who calls, what they paid for, where to."""
