"""Splits, metrics and reports."""
