"""Tests of kgrec.inspection."""
