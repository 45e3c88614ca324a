"""The adapter of Aurpay, a plugin of crypto-gateway."""
