"""Files of a run: written atomically, hashed, locked, in shards, with a record."""
