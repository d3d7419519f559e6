"""Import of images and published datasets."""
