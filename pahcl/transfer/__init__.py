"""Strategies that carry an encoder to another task."""
