"""Carries requests out: signing, limits, repeating, classification, and the two drivers."""
