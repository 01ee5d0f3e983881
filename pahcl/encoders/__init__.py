"""Networks that turn signals into features, with pooling and heads apart."""
