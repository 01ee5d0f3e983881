"""LightningModules, one per method."""
