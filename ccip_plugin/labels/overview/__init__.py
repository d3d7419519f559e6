"""What the cards of all groups show, kept with the dataset, so that they are there before the embeddings are read."""
