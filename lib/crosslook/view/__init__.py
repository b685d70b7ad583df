"""Pictures of what was measured. Nothing here computes a number that a page claims."""
