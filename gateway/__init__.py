"""Take crypto payments through any of several providers, and switch between them, without changing your code."""
