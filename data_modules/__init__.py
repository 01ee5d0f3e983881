"""Lightning data modules, one per data set."""
