"""The store: what must survive a crash, in SQL. All functions take a connection and run inside `Database.transaction`
or, where they only read, `Database.read`.

database.py     opening, transactions, checking and upgrading; what is common to both:
sqlite.py       a file        witness.py   what it was when it was last written to
postgresql.py   a server
together.py     many transactions in one commit
schema.py       which revision of the schema a database has
failures.py     the database's failures, in the gateway's words
lanes.py        one at a time, over processes
owner.py        which process holds something, and whether it still runs
types.py        exact numbers, aware times and JSON as columns
tables.py       the tables; migrations/ makes and changes them
pages.py        lists, newest first, with a cursor
snapshots.py    models to JSON and back
journal.py      every write: intended, sent, done, rejected or unknown
outcomes.py     what the end of a write, or the doubt about it, means for the rows below
orders.py  withdrawals.py  refunds.py  customers.py  cards.py  trades.py
freezes.py      accounts whose payouts are stopped
numbers.py      request numbers that only grow
rates.py        how often a key may be used, for all processes
restores.py     that the store was put back to an older state
pruning.py      payloads that need not be kept
export.py       the rows about money, for other programs
"""
