"""What is checked: the protocol of a subject, the built-in twelve, and loading of others."""
