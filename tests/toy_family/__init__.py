"""The smallest family and representation that can be trained, for tests of datasets and training."""
