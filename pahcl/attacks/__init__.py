"""Small perturbations that raise a model's loss: one file an attack."""
