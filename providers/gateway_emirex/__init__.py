"""The adapter of Emirex, a plugin of crypto-gateway."""
