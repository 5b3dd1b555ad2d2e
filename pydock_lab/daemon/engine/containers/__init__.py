"""The container noun: one module per part of a container's life; containers.py is its door."""
