"""What the tests of the core work with; any test may import it (`tests/` is on the path).

`support.loopback`  a scripted HTTP server on 127.0.0.1: real sockets, every way to answer and every way not to.
`support.toy`       a small provider, `toy`, with its plugin, settings and the answers of its API.
`support.virtual`   a clock that moves only when it is told, or when something sleeps on it.
`support.colours`   one test body over `Gateway` and `AsyncGateway`.
`support.postgres`  a real PostgreSQL server; its fixtures are known to every test.

    def test_a_read_is_repeated(colour):                       # the fixture gives "sync", then "async"
        with Loopback() as server, opened(colour, accounts={"shop": account(server.url)}) as gw:
            server.plan(Answer(500), Answer(body=TICKER))
            gw.markets.ticker("BTC/USD", account="shop")
            assert len(server.requests) == 2
"""
