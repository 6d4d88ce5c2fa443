"""What a person reads of a run: explanation, diagnosis, script."""
