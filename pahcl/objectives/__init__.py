"""What training minimises, in plain torch."""
