"""Synthetic corpora, written in the publishers' own layouts."""
