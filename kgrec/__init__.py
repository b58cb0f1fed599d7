"""Recommendations of items that nobody has used yet, from your knowledge graph."""
