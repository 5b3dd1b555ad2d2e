"""Dockerfile text → typed instructions; pure, no I/O."""
