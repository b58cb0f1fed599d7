"""Tests of kgrec.exchange."""
