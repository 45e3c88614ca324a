"""How the schema came to be, one file a revision. A revision that was released is never changed."""
