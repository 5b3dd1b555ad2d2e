"""Checks of a learner's work, and predictions scored: the engine is asked, never the learner's variables."""
