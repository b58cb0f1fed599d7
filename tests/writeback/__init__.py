"""Tests of kgrec.writeback."""
