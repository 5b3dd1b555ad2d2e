"""The docker command grammar, once: `find`, `parse` and `execute` (grammar, arguments, execute)."""
