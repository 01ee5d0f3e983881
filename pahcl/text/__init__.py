"""Reports of ECGs as text."""
