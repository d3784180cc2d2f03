"""What leaves a run: the builder, folders for the Hub, exported files, and cards."""

from davidgen_hf.publish.folder import build_folder, build_from_command_line

__all__ = ["build_folder", "build_from_command_line"]
