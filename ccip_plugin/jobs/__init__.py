"""Jobs made of several features."""
