"""`image …`, but for `image build`, which has a room of its own."""
