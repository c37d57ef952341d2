"""Finding creators: searches, profile pages, audiences, time series and hashtags."""
