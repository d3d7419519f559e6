"""The only way of the review panel to the server, and what opens the panel."""
