"""FiftyOne's own similarity indexes and visualizations, on CCIP embeddings."""
