"""The API description (OpenAPI 3.1), written from routes and their types."""
