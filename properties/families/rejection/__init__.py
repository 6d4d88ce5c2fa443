"""The family rejection: wrong arguments are refused by an error that names them."""
