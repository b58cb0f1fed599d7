"""One command a claim: each prints the table that the documentation quotes."""
