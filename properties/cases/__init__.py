"""Cases: everything that decides one call of a subject, and how Hypothesis draws it."""
