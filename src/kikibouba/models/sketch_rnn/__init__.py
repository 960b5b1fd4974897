"""Sketch-RNN (Ha & Eck 2017): drawings as sequences of pen offsets."""
