"""What the gateway costs, measured against the same thing written by hand. `make bench` runs all of it."""
