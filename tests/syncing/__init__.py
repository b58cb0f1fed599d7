"""Tests of kgrec.syncing."""
