"""Pictures of what the engine holds and does: one file each, `read` asks the engine, `draw` draws the answer."""
