"""The families of a tutorial's networks: networks, gates and claims."""
