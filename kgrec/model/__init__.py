"""The model: features, propagation and head; no I/O."""
