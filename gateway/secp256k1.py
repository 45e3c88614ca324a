"""Recovering the signer's public key from an ECDSA signature over secp256k1 (SEC 1, section 4.1.6).

Only public values pass through here, so nothing has to run in constant time. Signing and verifying are done by
`cryptography`.
"""

from __future__ import annotations

from typing import TypeAlias

__all__ = ["HALF_ORDER", "ORDER", "recovered_key"]

_PRIME = 2**256 - 2**32 - 977
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
HALF_ORDER = ORDER // 2
_Point: TypeAlias = tuple[int, int] | None
_BASE = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)


def recovered_key(digest: bytes, r: int, s: int, recovery_id: int) -> bytes | None:
    """The compressed public key that made the signature `(r, s)` of a 32-byte digest, or None when there is none."""
    if not (0 < r < ORDER and 0 < s < ORDER):
        return None
    x = r + ORDER * (recovery_id >> 1)
    y = _even_root(x)
    if y is None:
        return None
    point = (x, _PRIME - y if recovery_id & 1 else y)
    inverse = pow(r, -1, ORDER)
    key = _sum_of_multiples(-int.from_bytes(digest, "big") * inverse % ORDER, _BASE, s * inverse % ORDER, point)
    if key is None:
        return None
    return bytes([2 + (key[1] & 1)]) + key[0].to_bytes(32, "big")


def _even_root(x: int) -> int | None:
    """The even y of the curve's point at x: y² = x³ + 7."""
    if x >= _PRIME:
        return None
    square = (pow(x, 3, _PRIME) + 7) % _PRIME
    y = pow(square, (_PRIME + 1) // 4, _PRIME)
    if y * y % _PRIME != square:
        return None
    return _PRIME - y if y & 1 else y


def _sum_of_multiples(a: int, p: tuple[int, int], b: int, q: tuple[int, int]) -> _Point:
    """a·P + b·Q, both factors in one pass."""
    both = _sum(p, q)
    total: _Point = None
    for place in range(max(a.bit_length(), b.bit_length()) - 1, -1, -1):
        total = _sum(total, total)
        choice = (a >> place & 1, b >> place & 1)
        if choice == (1, 1):
            total = _sum(total, both)
        elif choice == (1, 0):
            total = _sum(total, p)
        elif choice == (0, 1):
            total = _sum(total, q)
    return total


def _sum(p: _Point, q: _Point) -> _Point:
    """None is the point at infinity."""
    if p is None:
        return q
    if q is None:
        return p
    if p[0] == q[0]:
        if p[1] != q[1]:
            return None
        slope = 3 * p[0] * p[0] * pow(2 * p[1], -1, _PRIME) % _PRIME
    else:
        slope = (q[1] - p[1]) * pow(q[0] - p[0], -1, _PRIME) % _PRIME
    x = (slope * slope - p[0] - q[0]) % _PRIME
    return x, (slope * (p[0] - x) - p[1]) % _PRIME
