"""The commands of `gatewise`, one module each; `cli.main` has the table."""
