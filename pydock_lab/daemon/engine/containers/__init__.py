"""The container noun; `Containers` is its door."""

from pydock_lab.daemon.engine.containers.containers import Containers

__all__ = ["Containers"]
