#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Prints aead_vectors.h: ChaCha20-Poly1305 in the plainest Python (RFC 8439), aimed at Poly1305's carries.

The last ciphertext block is solved for, so that the accumulator before the final reduction lies at chosen distances
from p = 2^130 - 5 or from a power of two. Random data meets the first with a chance of 2^-127.
"""
import struct

P = 2**130 - 5


def chacha_block(key, counter, nonce):
    rot = lambda x, n: (x << n | x >> 32 - n) & 0xffffffff
    s = list(struct.unpack("<4I", b"expand 32-byte k") + struct.unpack("<8I", key)) + [counter]
    s += struct.unpack("<3I", nonce)
    w = list(s)
    for _ in range(10):
        for a, b, c, d in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                           (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
            for x, y, z, n in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                w[x] = (w[x] + w[y]) & 0xffffffff
                w[z] = rot(w[z] ^ w[x], n)
    return struct.pack("<16I", *((x + y) & 0xffffffff for x, y in zip(w, s)))


def poly_key(key, counter):
    k = chacha_block(key, 0, bytes(4) + struct.pack("<Q", counter))[:32]
    return int.from_bytes(k[:16], "little") & 0x0ffffffc0ffffffc0ffffffc0fffffff, int.from_bytes(k[16:], "little")


def absorb(h, r, data):
    for i in range(0, len(data), 16):
        h = (h + int.from_bytes(data[i:i + 16], "little") + 2**128) * r % P
    return h


def solve(key, prefix, target, counter):
    """The first counter from `counter` on for which one more block brings the accumulator to `target` mod p."""
    while True:
        r, s = poly_key(key, counter)
        lengths = struct.pack("<QQ", 0, prefix + 16)
        inverse = pow(r, -1, P)
        before = (target * inverse - int.from_bytes(lengths, "little") - 2**128) % P
        block = (before * inverse - absorb(0, r, b"\xff" * prefix) - 2**128) % P
        if block < 2**128:
            data = b"\xff" * prefix + block.to_bytes(16, "little")
            h = absorb(0, r, data + lengths)
            assert h == target % P
            return counter, data[-16:], ((h + s) % 2**128).to_bytes(16, "little")
        counter += 1


print("/* SPDX-License-Identifier: BSD-3-Clause */")
print("/* Made by aead_vectors.py. Key: bytes 0..31. Ciphertext: `prefix` bytes 0xff, then `last`. */")
print("static const struct {\n\tuint64_t counter;\n\tuint32_t prefix;\n\tconst char *last, *tag;\n} carry_vectors[] = {")
counter = 1
for prefix in (0, 16, 48, 112, 240, 496, 1408):
    for target in (0, 1, 4, P - 1, P - 2, 2**128 - 1, 2**128, 2**104 - 1, 2**88 - 1, 2**64 - 1, 2**64, 2**44 - 1, 2**26 - 1):
        counter, last, tag = solve(bytes(range(32)), prefix, target, counter + 1)
        print(f'\t{{{counter}, {prefix}, "{last.hex()}",\n\t\t"{tag.hex()}"}},')
print("};")
