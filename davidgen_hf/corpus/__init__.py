"""Passages to pairs, shard by shard."""
