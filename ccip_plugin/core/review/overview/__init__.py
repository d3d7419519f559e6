"""The groups as rows of what cards show: made from a board, kept without embeddings."""
