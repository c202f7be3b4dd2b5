"""Kernels over whole planes: exact distances, connected regions."""
