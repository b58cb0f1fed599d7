"""Tests of the model's parts."""
