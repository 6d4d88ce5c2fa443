"""What is claimed: subjects, cases, properties, comparison and records.  Needs no pytest."""
