"""The families of properties; `catalogue` lists them."""
