"""Group images by anime character in FiftyOne, with CCIP."""
