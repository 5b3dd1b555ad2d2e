"""The learner's wing: commands, compose and grading over the engine's HTTP API."""
