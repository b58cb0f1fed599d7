"""Readers: each turns a source into the three tables and those into a KnowledgeGraph."""
