"""What is true: the gate mathematics of recurrent networks in NumPy, with rounding bounds."""
