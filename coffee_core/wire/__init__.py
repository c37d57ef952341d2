"""The strict HTTP/1.1 front that gateway and modules share, and its messages."""
