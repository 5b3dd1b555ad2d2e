"""`compose …`: one module for each thing that a project can be told."""
