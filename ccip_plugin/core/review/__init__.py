"""Review of character groups: which question to ask a person next, what follows from the answer, when to stop."""
