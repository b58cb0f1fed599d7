"""Tests across sources, against real servers."""
