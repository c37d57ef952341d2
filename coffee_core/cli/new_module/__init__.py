"""`coffee new-module`, and the files it writes from."""
