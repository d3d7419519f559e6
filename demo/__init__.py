"""A small world of drawn characters whose identity is known: for the demo, the tests and the stand-in model."""
