"""Skills for coding agents that use davidgen_hf."""
