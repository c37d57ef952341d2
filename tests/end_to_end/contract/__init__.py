"""The wire contract, sentence by sentence, held against the whole platform through its gateway."""
