"""What the product is measured against: each a small program as its documentation would have it written."""
