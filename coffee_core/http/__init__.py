"""The application: a Request -> Response core in its ten layers, and its ASGI form."""
