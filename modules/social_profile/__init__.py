"""The raw rows of creators' profiles on Instagram and YouTube."""
