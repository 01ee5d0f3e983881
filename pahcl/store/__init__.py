"""The packed signal store: written once, read by batched gathers."""
