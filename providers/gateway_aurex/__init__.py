"""The adapter of Aurex, a plugin of crypto-gateway."""
