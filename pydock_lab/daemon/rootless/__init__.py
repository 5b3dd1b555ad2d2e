"""The engine as a plain user: namespaces of one's own, and a broker that stayed outside. Standard library only."""
