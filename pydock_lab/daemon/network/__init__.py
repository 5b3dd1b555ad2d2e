"""Bridges, addresses, published ports and the packet filter of one daemon."""
