"""Published datasets: downloads and extracts their archives."""
