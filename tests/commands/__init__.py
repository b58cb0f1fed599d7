"""Tests of kgrec.commands."""
