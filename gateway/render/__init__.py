"""Configuration for other doors: nginx, Caddy, Envoy and Traefik move the bytes, the gateway decides."""
