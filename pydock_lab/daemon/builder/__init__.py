"""Dockerfile → image: steps with a cache that says why."""
