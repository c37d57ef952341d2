"""What partners have bought and how much of it they have used."""
