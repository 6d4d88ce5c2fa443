"""The family dropout: what is dropped, where, and how often."""
