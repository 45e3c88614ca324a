"""Workers: callbacks processed, orders polled, events delivered, books compared, in one process or in many."""
