"""Plain ml_collections configurations; a file may import others, and nothing that uses JAX."""
