"""The family paths: every path through an implementation gives the same results."""
