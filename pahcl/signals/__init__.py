"""Leads, units, filters, resampling, normalisation and quality of signals."""
