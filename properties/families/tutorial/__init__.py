"""The families of a tutorial's networks: networks, gates, claims and as_stated."""
