"""Events: the handlers that a program registers, and how they are called."""
