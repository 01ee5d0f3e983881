"""From a heart sound to its cycles: preparation, envelopes, and three segmenters."""
