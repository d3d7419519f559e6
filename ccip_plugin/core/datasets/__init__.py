"""Published datasets: archives and their contents."""
