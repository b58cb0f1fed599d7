"""Tests of splits, metrics and reports."""
