"""Evidence: predictions, metrics, intervals, comparisons, receipts."""
