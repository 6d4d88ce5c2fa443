"""Runs properties on subjects and keeps their records."""
