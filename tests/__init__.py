"""Tests, laid out as kgrec is."""
