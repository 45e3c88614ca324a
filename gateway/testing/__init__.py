"""What a merchant's own tests use: sandboxes, fixtures, and the kit that an adapter must pass."""
