"""`container …`, and the flags of `run` as the API takes them."""
