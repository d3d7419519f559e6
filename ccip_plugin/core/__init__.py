"""CCIP without FiftyOne: models, preprocessing, embeddings, differences, neighbors, clustering, evaluation."""
