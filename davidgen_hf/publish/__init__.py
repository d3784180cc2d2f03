"""What leaves a run: the builder, folders for the Hub, exported files, and cards."""
