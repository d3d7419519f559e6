"""Cards before the board is there: from the overview that is kept with the dataset; and what keeps it up to date."""
