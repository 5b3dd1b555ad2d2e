"""What Docker's API has no word for, under `/lab`: the engine explains itself."""
