"""The base, forms, execution and outputs of the operators."""
