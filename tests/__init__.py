"""Tests of kgrec; they mirror its modules."""
