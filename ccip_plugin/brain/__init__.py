"""FiftyOne's similarity indexes and visualizations of CCIP embeddings."""
