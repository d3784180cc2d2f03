"""A recipe to a run folder: the numbered steps, their record, and where everything came from."""
