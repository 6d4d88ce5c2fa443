"""The reference: the equations of recurrent networks in NumPy, with bounds on rounding errors."""
