"""The family memory: what a call may modify, share and hold."""
