"""Embedding RNN: Sketch-RNN's descendant for sequences of sound embeddings, conditioned on pitch."""
