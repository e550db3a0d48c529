#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Sends packets through two routers at once, ours and a Linux kernel, and compares what comes out.

usage: conformance.py LAB_ID [TEXT]      TEXT: only cases whose name contains it

tests/suites/router has made the namespaces: client - gw - server and rclient - ref - rserver. A case says what it sends, from
which side, and what must come out of ours by the clause that names it. Linux must do the same, unless the case says why not.
"""
import ctypes
import os
import re
import select
import socket
import subprocess
import sys
import time

from scapy.all import (ARP, ICMP, IP, UDP, Ether, ICMPv6DestUnreach, ICMPv6EchoReply, ICMPv6EchoRequest, IPv6,
                       IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, Raw)
from scapy.layers.inet6 import HBHOptUnknown, PadN, RouterAlert

C4, S4, GW_WAN4, GW_LAN4 = "198.51.100.10", "10.20.0.10", "198.51.100.7", "10.20.0.1"
C6, S6, GW_WAN6, GW_LAN6 = "2001:db8:1::10", "2001:db8:20::10", "2001:db8:1::7", "2001:db8:20::1"
PATIENCE = 10  # seconds; a busy machine takes its time
QUIET = 0.03   # after the probe behind a case's packets was answered: nothing more is on its way
OTHER = 0.3    # the same where Linux sends what ours does not, or not so many: it must not be taken for the next case's
SLOW = 20.0    # at most, for cases that wait for a neighbour
MTU = 1400     # of the far link
PROBE = 0x7e57 # id of the echo requests that follow each case

libc = ctypes.CDLL(None, use_errno=True)
cases = []


def case(name, side, packets, expect, slow=False, linux=None, dst=None):
    """expect: regular expressions, one per packet that comes out, or [] for none. linux: why it does otherwise."""
    if not isinstance(packets, list):
        packets = [packets]
    cases.append({"name": name, "side": side, "packets": packets, "expect": expect, "slow": slow, "linux": linux, "dst": dst})


def data(n, start=0):
    return Raw(bytes((i * 7 + start) & 255 for i in range(n)))


def udp4(**ip):
    return IP(src=C4, dst=S4, **ip) / UDP(sport=1000, dport=2000) / data(32)


def udp6(**ip):
    return IPv6(src=C6, dst=S6, **ip) / UDP(sport=1000, dport=2000) / data(32)


def to6(*extension, payload=None, **ip):
    p = IPv6(src=C6, dst=S6, **ip)
    for e in extension:
        p /= e
    return p / (payload if payload is not None else UDP(sport=1000, dport=2000) / data(32))


def own6(*extension, **ip):
    """An echo request for the router itself behind extension headers."""
    ip.setdefault("dst", GW_WAN6)
    p = IPv6(src=C6, **ip)
    for e in extension:
        p /= e
    return p / ICMPv6EchoRequest(id=7, seq=1, data=b"x" * 16)


def fragments4(packet, sizes, ident=77):
    """The packet's parts, of `sizes` bytes of payload each, the rest last."""
    raw, out, at = bytes(packet.payload), [], 0
    for size in list(sizes) + [len(raw)]:
        part, more = raw[at:at + size], at + size < len(raw)
        out.append(IP(src=packet.src, dst=packet.dst, id=ident, proto=packet.proto, ttl=packet.ttl, frag=at // 8,
                      flags="MF" if more else 0) / Raw(part))
        at += size
    return out


def fragments6(packet, sizes, ident=77):
    raw, out, at = bytes(packet.payload), [], 0
    for size in list(sizes) + [len(raw)]:
        part, more = raw[at:at + size], at + size < len(raw)
        out.append(IPv6(src=packet.src, dst=packet.dst, hlim=packet.hlim)
                   / IPv6ExtHdrFragment(nh=packet.nh, id=ident, offset=at // 8, m=int(more)) / Raw(part))
        at += size
    return out


def built(packet):
    """Lengths and checksums filled in, so that they can be broken."""
    return packet.__class__(bytes(packet))


def broken(packet, fix_checksum=True, **fields):
    p = built(packet)
    for k, v in fields.items():
        setattr(p, k, v)
    if fix_checksum and isinstance(p, IP) and "chksum" not in fields:
        del p.chksum
    return p


def forwarding():
    case("RFC 1812 5.3.1 TTL is lowered by one", "client", udp4(ttl=64), [rf"server: udp {C4} > {S4} ttl 63"])
    case("RFC 1812 5.3.1 a TTL of 2 is forwarded", "client", udp4(ttl=2), [r"server: udp .* ttl 1"])
    case("RFC 1812 5.3.1 a TTL of 1 is answered: time exceeded", "client", udp4(ttl=1),
         [rf"client: icmp 11/0 {GW_WAN4} > {C4} .*quotes 60"])
    case("RFC 1812 5.3.1 a TTL of 0 as well", "client", udp4(ttl=0), [r"client: icmp 11/0"])
    case("RFC 8200 3 hop limit is lowered by one", "client", udp6(hlim=64), [rf"server: udp {C6} > {S6} ttl 63"])
    case("RFC 4443 3.3 hop limit of 1: time exceeded", "client", udp6(hlim=1), [rf"client: icmp6 3/0 {GW_WAN6} > {C6} .*quotes 80"])
    case("RFC 4443 3.3 hop limit of 0 as well", "client", udp6(hlim=0), [r"client: icmp6 3/0"])
    case("RFC 1812 4.3.2.4 the error's source is the address of the link it leaves by", "server",
         IP(src=S4, dst=C4, ttl=1) / UDP() / data(8), [rf"server: icmp 11/0 {GW_LAN4} > {S4}"])
    case("RFC 1812 4.3.2.3 as much of the packet as fits 576 bytes is quoted", "client", IP(src=C4, dst=S4, ttl=1) / UDP() / data(1200),
         [r"client: icmp 11/0 .*quotes 548"])
    case("RFC 4443 2.4 (c) as much of the packet as fits 1280 bytes is quoted", "client", IPv6(src=C6, dst=S6, hlim=1) / UDP() / data(1340),
         [r"client: icmp6 3/0 .*quotes 1232"])
    case("RFC 1812 5.2.7.1 no route: network unreachable", "client", IP(src=C4, dst="203.0.113.1") / UDP() / data(8), [r"client: icmp 3/0"])
    case("RFC 4443 3.1 no route", "client", IPv6(src=C6, dst="2001:db8:99::1") / UDP() / data(8), [r"client: icmp6 1/0"])
    case("RFC 1812 5.2.7.1 no answer from the neighbour: host unreachable", "client", IP(src=C4, dst="10.20.0.99") / UDP() / data(8),
         [r"client: icmp 3/1"], slow=True)
    case("RFC 4443 3.1 no answer from the neighbour: address unreachable", "client",
         IPv6(src=C6, dst="2001:db8:20::99") / UDP() / data(8), [r"client: icmp6 1/3"], slow=True)
    case("RFC 1812 5.3.3 DSCP and ECN pass", "client", udp4(tos=0xb9), [r"server: udp .* tos 0xb9"])
    case("RFC 8200 7 traffic class and flow label pass", "client", udp6(tc=0xb9, fl=0x12345), [r"server: udp .* tos 0xb9 flow 0x12345"])
    case("hairpin: back onto the link that it came from", "server", IP(src="10.20.0.12", dst=S4) / UDP(sport=5) / data(8),
         [rf"server: udp 10.20.0.12 > {S4} ttl 63"])


def checks():
    case("RFC 1812 5.2.2 (1) shorter than a header", "client", Raw(bytes(udp4())[:16]), [])
    case("RFC 1812 5.2.2 (2) header checksum wrong", "client", broken(udp4(), chksum=0x1234), [])
    case("RFC 1812 5.2.2 (3) version is not 4", "client", broken(udp4(), version=5), [])
    case("RFC 1812 5.2.2 (4) header length below 5 words", "client", broken(udp4(), ihl=4), [])
    case("RFC 1812 5.2.2 (5) total length beyond the packet", "client", broken(udp4(), len=500), [])
    case("RFC 1812 5.2.2 (5) total length below the header's", "client", broken(udp4(), len=19), [])
    case("RFC 894 padding behind the packet is not forwarded", "client", built(udp4()) / Raw(b"pad" * 9), [r"server: udp .* len 60"])
    case("RFC 8200 3 payload length beyond the packet", "client", broken(udp6(), plen=500), [])
    case("RFC 8200 3 padding behind the packet is not forwarded", "client", built(udp6()) / Raw(b"pad" * 9), [r"server: udp .* len 80"])
    relaxed = "takes network 0 for an ordinary one"
    for what, src in (("loopback", "127.0.0.1"), ("multicast", "224.0.0.5"), ("limited broadcast", "255.255.255.255"),
                      ("unspecified", "0.0.0.0"), ("of network 0", "0.1.2.3")):
        case(f"RFC 1812 5.3.7 source {what}", "client", IP(src=src, dst=S4) / UDP() / data(8), [],
             linux=relaxed if src == "0.1.2.3" else None)
    for what, dst in (("loopback", "127.0.0.1"), ("of network 0", "0.0.0.9"), ("multicast", "224.1.2.3"),
                      ("limited broadcast", "255.255.255.255")):
        case(f"RFC 1812 5.3.7 destination {what}", "client", IP(src=C4, dst=dst) / UDP() / data(8), [],
             linux=relaxed if dst == "0.0.0.9" else None)
    case("RFC 2644 a broadcast directed at another link", "client", IP(src=C4, dst="10.20.255.255") / UDP() / data(8), [])
    case("RFC 1812 5.3.4 unicast packet in a broadcast frame", "client", udp4(), [], dst="ff:ff:ff:ff:ff:ff")
    case("RFC 1812 5.3.4 frame to another station", "client", udp4(), [], dst="02:12:34:56:78:9a")
    case("RFC 4291 2.7 source multicast", "client", IPv6(src="ff02::5", dst=S6) / UDP() / data(8), [])
    case("RFC 4291 2.5.3 source loopback", "client", IPv6(src="::1", dst=S6) / UDP() / data(8), [])
    case("RFC 4291 2.5.2 source unspecified", "client", IPv6(src="::", dst=S6) / UDP() / data(8), [])
    case("RFC 4291 2.5.3 destination loopback", "client", IPv6(src=C6, dst="::1") / UDP() / data(8), [])
    case("RFC 4291 2.5.6 link-local destination stays on the link", "client", IPv6(src=C6, dst="fe80::1234") / UDP() / data(8), [],
         linux="tells the sender that the address is unreachable", slow=True)
    case("RFC 4291 2.5.6 link-local source: beyond its scope", "client",
         lambda side: IPv6(src=side.link_local(), dst=S6) / UDP() / data(8), [r"client: icmp6 1/2"])
    case("RFC 4291 2.7 multicast is not forwarded", "client", IPv6(src=C6, dst="ff0e::1234") / UDP() / data(8), [])


def no_errors():
    inner = bytes(IP(src=S4, dst=C4) / UDP() / data(8))
    case("RFC 1812 4.3.2.7 none about an ICMP error", "client", IP(src=C4, dst=S4, ttl=1) / ICMP(type=3, code=1) / Raw(inner), [])
    case("RFC 1812 4.3.2.7 but about an echo request", "client", IP(src=C4, dst=S4, ttl=1) / ICMP() / data(8), [r"client: icmp 11/0"])
    case("RFC 1812 4.3.2.7 none about a fragment but the first", "client", IP(src=C4, dst=S4, ttl=1, frag=20, proto=17) / data(64), [])
    case("RFC 1812 4.3.2.7 about the first", "client", IP(src=C4, dst=S4, ttl=1, flags="MF") / UDP() / data(56), [r"client: icmp 11/0"])
    case("RFC 4443 2.4 (e.1) none about an ICMPv6 error", "client",
         IPv6(src=C6, dst=S6, hlim=1) / ICMPv6DestUnreach(code=3) / Raw(bytes(udp6())), [])
    case("RFC 4443 2.4 (e) but about an echo request", "client", IPv6(src=C6, dst=S6, hlim=1) / ICMPv6EchoRequest(), [r"client: icmp6 3/0"])
    case("RFC 4443 2.4 (e.3) none about multicast", "client", IPv6(src=C6, dst="ff0e::1", hlim=1) / UDP() / data(8), [])


def fragmentation():
    big = IP(src=C4, dst=S4, id=0x4242) / UDP(sport=1000, dport=2000) / data(1450)
    case("RFC 1191 4 too big and DF: fragmentation needed, with the MTU", "client",
         IP(src=C4, dst=S4, flags="DF") / UDP() / data(1450), [rf"client: icmp 3/4 {GW_WAN4} .*mtu {MTU}"])
    case("RFC 8201 3 too big: packet too big, with the MTU", "client", IPv6(src=C6, dst=S6) / UDP() / data(1450),
         [rf"client: icmp6 2/0 {GW_WAN6} .*mtu {MTU}"])
    case("RFC 791 3.2 too big and not DF: split", "client", big,
         [r"server: udp .* id 0x4242 offset 0 more len 1396", r"server: part .* id 0x4242 offset 1376 len 102"])
    case("RFC 791 3.2 exactly the MTU: not split", "client", IP(src=C4, dst=S4) / UDP() / data(MTU - 28), [rf"server: udp .* len {MTU}"])
    case("RFC 791 3.2 a fragment is split in its own place", "client", IP(src=C4, dst=S4, id=7, frag=100, flags="MF", proto=17) / data(1440),
         [r"server: part .* offset 800 more len 1396", r"server: part .* offset 2176 more len 84"])
    case("RFC 791 3.2 fragments pass as they are", "client", fragments4(udp4(), [24]),
         [r"server: udp .* offset 0 more len 44", r"server: part .* offset 24 len 36"])
    case("RFC 8200 4.5 fragments pass as they are", "client", fragments6(udp6(), [24]),
         [r"server: udp .* offset 0 more len 72", r"server: part .* offset 24 len 64"])
    echo4 = built(IP(src=C4, dst=GW_WAN4) / ICMP(id=9) / data(60))
    echo6 = built(IPv6(src=C6, dst=GW_WAN6) / ICMPv6EchoRequest(id=9, data=bytes(60)))
    reply4, reply6 = [rf"client: icmp 0/0 {GW_WAN4} .* len 88"], [rf"client: icmp6 129/0 {GW_WAN6} .* len 108"]
    case("RFC 1812 5.2.6 fragments for the router are gathered", "client", fragments4(echo4, [16, 32]), reply4)
    case("RFC 1812 5.2.6 in any order", "client", fragments4(echo4, [16, 32], 78)[::-1], reply4)
    case("RFC 8200 4.5 fragments for the router are gathered", "client", fragments6(echo6, [16, 32]), reply6)
    case("RFC 8200 4.5 in any order", "client", fragments6(echo6, [16, 32], 78)[::-1], reply6)
    part = fragments6(echo6, [24], 79)
    over = IPv6(src=C6, dst=GW_WAN6) / IPv6ExtHdrFragment(nh=58, id=79, offset=2, m=1) / data(16)
    case("RFC 5722 4 overlapping fragments are refused", "client", [part[0], over, part[1]], [])
    part = fragments4(echo4, [24], 80)
    over = IP(src=C4, dst=GW_WAN4, id=80, proto=1, frag=2, flags="MF") / data(16)
    case("RFC 1858 3 overlapping fragments of IPv4 as well", "client", [part[0], over, part[1]], [])
    case("RFC 8200 4.5 a length that is no multiple of 8: parameter problem", "client",
         IPv6(src=C6, dst=GW_WAN6) / IPv6ExtHdrFragment(nh=17, id=81, offset=0, m=1) / data(21), [r"client: icmp6 4/0 .*pointer 4"])
    case("RFC 8200 4.5 beyond 65,535 bytes: parameter problem", "client",
         IPv6(src=C6, dst=GW_WAN6) / IPv6ExtHdrFragment(nh=17, id=82, offset=8191, m=0) / data(64), [r"client: icmp6 4/0 .*pointer 42"])
    case("RFC 6946 4 a datagram that is one fragment", "client",
         IPv6(src=C6, dst=GW_WAN6) / IPv6ExtHdrFragment(nh=58, id=83) / Raw(bytes(echo6.payload)), reply6)


def options():
    def with_options(raw, **ip):
        return IP(bytes(IP(src=C4, dst=S4, options=[], **ip) / UDP(sport=1000, dport=2000) / data(16))[:20]) if not raw else ip4_options(raw, **ip)

    def ip4_options(raw, dst=S4):
        raw += b"\0" * (-len(raw) % 4)
        head = bytearray(bytes(IP(src=C4, dst=dst, proto=17, len=20 + len(raw) + 24, ihl=5 + len(raw) // 4, chksum=0)))
        total = sum((head[i] << 8 | head[i + 1]) for i in range(0, 20, 2)) + sum((raw[i] << 8 | raw[i + 1]) for i in range(0, len(raw), 2))
        total = (total & 0xffff) + (total >> 16)
        total = ~((total & 0xffff) + (total >> 16)) & 0xffff
        head[10:12] = total.to_bytes(2, "big")
        body = bytes(IP(src=C4, dst=dst) / UDP(sport=1000, dport=2000) / data(16))[20:]
        return Raw(bytes(head) + raw + body)

    case("RFC 1812 5.3.13.1 unknown options pass", "client", with_options(bytes([0x9e, 6, 1, 2, 3, 4])), [r"server: udp .* options 9e0601020304"])
    case("RFC 2113 2.1 router alert passes", "client", with_options(bytes([0x94, 4, 0, 0])), [r"server: udp .* options 94040000"])
    case("RFC 7126 4.3 loose source route is refused", "client", with_options(bytes([0x83, 7, 4, 10, 20, 0, 10])), [])
    case("RFC 7126 4.4 strict source route is refused", "client", with_options(bytes([0x89, 7, 4, 10, 20, 0, 10])), [])
    case("RFC 1812 5.3.13 an option without its length: parameter problem", "client", with_options(bytes([1, 1, 1, 0x9e])),
         [r"client: icmp 12/0 .*pointer 23"])
    case("RFC 1812 5.3.13 an option longer than the header: parameter problem", "client", with_options(bytes([0x9e, 9, 0, 0])),
         [r"client: icmp 12/0 .*pointer 20"])


def extensions():
    pad = PadN(optdata=b"\0\0\0\0")
    case("RFC 8200 4.3 hop-by-hop options pass", "client", to6(IPv6ExtHdrHopByHop(options=[pad])), [r"server: udp .* len 88"])
    case("RFC 2711 2 router alert passes", "client", to6(IPv6ExtHdrHopByHop(options=[RouterAlert(value=9)])), [r"server: udp .* len 88"])
    case("RFC 7045 2.1 destination options pass", "client", to6(IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=0xde, optdata=b"abcd")])),
         [r"server: udp .* len 88"])
    case("RFC 7045 2.1 a routing header passes", "client", to6(IPv6ExtHdrRouting(type=4, segleft=1, addresses=["2001:db8:20::33"])),
         [r"server: udp .* len 104"])
    case("RFC 7045 2.1 an unknown next header passes", "client", to6(nh=253, payload=data(40)), [r"server: 253 .* len 80"])
    case("RFC 8200 4.7 no next header passes", "client", to6(nh=59, payload=data(8)), [r"server: 59 .* len 48"])
    case("RFC 4303 ESP passes", "client", to6(nh=50, payload=data(40)), [r"server: 50 .* len 80"])
    case("RFC 4443 4.2 an echo request behind options is answered", "client", own6(IPv6ExtHdrDestOpt(options=[pad])), [r"client: icmp6 129/0"])
    case("RFC 8200 4.2 option of kind 00: skipped", "client", own6(IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=0x1e, optdata=b"abcd")])),
         [r"client: icmp6 129/0"])
    case("RFC 8200 4.2 option of kind 01: discarded", "client", own6(IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=0x5e, optdata=b"abcd")])), [])
    case("RFC 8200 4.2 option of kind 10: parameter problem", "client",
         own6(IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=0x9e, optdata=b"abcd")])), [r"client: icmp6 4/2 .*pointer 42"])
    case("RFC 8200 4.2 option of kind 11: parameter problem", "client",
         own6(IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=0xde, optdata=b"abcd")])), [r"client: icmp6 4/2 .*pointer 42"])
    case("RFC 5095 3 routing header of type 0 for the router: parameter problem", "client",
         own6(IPv6ExtHdrRouting(type=0, segleft=1, addresses=["2001:db8:20::33"])), [r"client: icmp6 4/0 .*pointer 42"])
    case("RFC 8200 4.4 routing header with no segments left is ignored", "client",
         own6(IPv6ExtHdrRouting(type=4, segleft=0, addresses=["2001:db8:20::33"])), [r"client: icmp6 129/0"], linux="knows that type")
    case("RFC 8200 4 unknown next header for the router: parameter problem", "client",
         IPv6(src=C6, dst=GW_WAN6, nh=253) / data(16), [r"client: icmp6 4/1 .*pointer 6"])
    case("RFC 8200 4 the pointer is at the header that names it", "client",
         IPv6(src=C6, dst=GW_WAN6) / IPv6ExtHdrDestOpt(nh=253, options=[pad]) / data(16), [r"client: icmp6 4/1 .*pointer 40"])


def own_addresses():
    case("RFC 1812 4.3.3.6 echo is answered", "client", IP(src=C4, dst=GW_WAN4, ttl=9) / ICMP(id=3) / data(40), [rf"client: icmp 0/0 {GW_WAN4} > {C4} ttl 64"])
    case("RFC 1812 4.3.3.6 at the far side's address too", "client", IP(src=C4, dst=GW_LAN4) / ICMP(id=3) / data(40), [rf"client: icmp 0/0 {GW_LAN4} > {C4}"])
    case("RFC 4443 4.2 echo is answered", "client", IPv6(src=C6, dst=GW_WAN6) / ICMPv6EchoRequest(data=b"x" * 40), [rf"client: icmp6 129/0 {GW_WAN6} > {C6}"])
    case("RFC 4443 4.2 at the far side's address too", "client", IPv6(src=C6, dst=GW_LAN6) / ICMPv6EchoRequest(data=b"x" * 40),
         [rf"client: icmp6 129/0 {GW_LAN6} > {C6}"])
    case("RFC 1122 3.2.2.6 echo to a broadcast address is not", "client", IP(src=C4, dst="198.51.100.255") / ICMP() / data(8), [])
    case("RFC 1122 4.1.3.1 nobody listens: port unreachable", "client", IP(src=C4, dst=GW_WAN4) / UDP(dport=9) / data(8), [rf"client: icmp 3/3 {GW_WAN4}"])
    case("RFC 4443 3.1 nobody listens: port unreachable", "client", IPv6(src=C6, dst=GW_WAN6) / UDP(dport=9) / data(8), [rf"client: icmp6 1/4 {GW_WAN6}"])
    case("RFC 1122 3.2.2.1 protocol unreachable", "client", IP(src=C4, dst=GW_WAN4, proto=253) / data(8), [rf"client: icmp 3/2 {GW_WAN4}"])
    case("RFC 768 UDP checksum wrong: silence", "client", IP(src=C4, dst=GW_WAN4) / UDP(dport=9, chksum=0x1234) / data(8), [])
    case("RFC 8200 8.1 UDP without a checksum: silence", "client", IPv6(src=C6, dst=GW_WAN6) / UDP(dport=9, chksum=0) / data(8), [])
    case("RFC 1122 3.2.2 ICMP checksum wrong: silence", "client", IP(src=C4, dst=GW_WAN4) / ICMP(chksum=0x1234) / data(8), [])


class Side:
    """One end of a link to a router: a socket in its namespace."""

    def __init__(self, lab, name, ns, addresses):
        self.name, self.addresses = name, addresses
        here = os.open("/proc/self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{lab}-{ns}", os.O_RDONLY)
        if libc.setns(there, 0) != 0:
            raise OSError(ctypes.get_errno(), f"setns {ns}")
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.bind(("eth0", 0))
        self.mac = self.socket.getsockname()[4]
        libc.setns(here, 0)
        os.close(here)
        os.close(there)
        self.router_mac = self.ask(*addresses)
        # The kernels at the ends must not answer: only what the router does counts.
        rules = "table inet quiet { chain input { type filter hook input priority 0; policy drop;" \
                " icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept; }; }"
        subprocess.run(["ip", "netns", "exec", f"{lab}-{ns}", "nft", "-f", "-"], input=rules.encode(), check=True)

    def ask(self, own, router):
        """The router's MAC, by ARP."""
        request = Ether(src=self.text(self.mac), dst="ff:ff:ff:ff:ff:ff") / ARP(hwsrc=self.text(self.mac), psrc=own, pdst=router)
        for _ in range(10):
            self.socket.send(bytes(request))
            end = time.monotonic() + 1
            while select.select([self.socket], [], [], max(0, end - time.monotonic()))[0]:
                p = Ether(self.socket.recv(65536))
                if ARP in p and p[ARP].op == 2 and p[ARP].psrc == router:
                    return p[ARP].hwsrc
        raise SystemExit(f"no answer from {router}")

    @staticmethod
    def text(mac):
        return ":".join(f"{b:02x}" for b in mac)

    def send(self, packet, dst=None):
        raw = bytes(packet)
        kind = 0x86dd if raw[:1] and raw[0] >> 4 == 6 else 0x0800
        self.socket.send(bytes(Ether(src=self.text(self.mac), dst=dst or self.router_mac, type=kind)) + raw)

    def link_local(self):
        m = self.mac
        return f"fe80::{m[0] ^ 2:02x}{m[1]:02x}:{m[2]:02x}ff:fe{m[3]:02x}:{m[4]:02x}{m[5]:02x}"

    def probe(self, number):
        own, router = self.addresses
        self.send(IP(src=own, dst=router) / ICMP(id=PROBE, seq=number))

    def receive(self):
        """A frame that came from the router, as text; the number of an answered probe; None for neighbour discovery."""
        frame, address = self.socket.recvfrom(65536)
        if address[2] == socket.PACKET_OUTGOING:
            return None
        p = Ether(frame)
        if ICMP in p and p[ICMP].type == 0 and p[ICMP].id == PROBE:
            return p[ICMP].seq
        if p.type == 0x0806 or (p.type == 0x86dd and frame[20] == 58 and frame[54] in range(130, 138)):
            return None
        if p.type == 0x86dd and frame[20] == 0:  # MLD
            return None if frame[38:40] == b"\xff\x02" else describe(self.name, p)
        return describe(self.name, p)


def icmp_error(raw):
    text, rest = "", raw[8:]
    if raw[0:2] == b"\3\4":
        text = f" mtu {int.from_bytes(raw[6:8], 'big')}"
    if raw[0] == 12:
        text = f" pointer {raw[4]}"
    return f"{text} quotes {len(rest)}" if raw[0] in (3, 11, 12) else ""


def icmp6_error(raw):
    text, rest = "", raw[8:]
    if raw[0] == 2:
        text = f" mtu {int.from_bytes(raw[4:8], 'big')}"
    if raw[0] == 4:
        text = f" pointer {int.from_bytes(raw[4:8], 'big')}"
    return f"{text} quotes {len(rest)}" if raw[0] < 5 else ""


def good_checksum(p):
    again = p.copy()
    for layer in (IP, UDP, ICMP):
        if layer in again:
            del again[layer].chksum
    return bytes(again) == bytes(p)


def describe4(p):
    raw, more = bytes(p.payload), "M" in str(p.flags)
    part = f" id 0x{p.id:x} offset {p.frag * 8}{' more' if more else ''}" if more or p.frag else ""
    kind = {1: "icmp", 17: "udp"}.get(p.proto, str(p.proto))
    if p.frag:
        kind = "part"
    if kind == "icmp":
        kind += f" {raw[0]}/{raw[1]}"
    options = bytes(p)[20:p.ihl * 4].hex()
    text = f"{kind} {p.src} > {p.dst} ttl {p.ttl} tos 0x{p.tos:02x}{part} len {p.len}{' options ' + options if options else ''}"
    if kind.startswith("icmp"):
        text += icmp_error(raw)
    return text + ("" if part or good_checksum(p) else " BAD CHECKSUM")


def describe6(p):
    raw, nh, at, part = bytes(p), p.nh, 40, ""
    while nh in (0, 43, 44, 60):
        if nh == 44:
            field = int.from_bytes(raw[at + 2:at + 4], "big")
            part = f" offset {field & 0xfff8}{' more' if field & 1 else ''}"
            nh, at = raw[at], at + 8
            if field & 0xfff8:
                nh = None
        else:
            nh, at = raw[at], at + (raw[at + 1] + 1) * 8
    kind = "part" if nh is None else {58: "icmp6", 17: "udp"}.get(nh, str(nh))
    if kind == "icmp6":
        kind += f" {raw[at]}/{raw[at + 1]}"
    flow = f" flow 0x{p.fl:x}" if p.fl and not kind.startswith("icmp6") else ""
    text = f"{kind} {p.src} > {p.dst} ttl {p.hlim} tos 0x{p.tc:02x}{flow}{part} len {len(raw)}"
    return text + (icmp6_error(raw[at:]) if kind.startswith("icmp6") else "")


def describe(side, frame):
    p = frame.payload
    if isinstance(p, IP):
        return f"{side}: {describe4(IP(bytes(p)[:p.len]))}"
    if isinstance(p, IPv6):
        return f"{side}: {describe6(IPv6(bytes(p)[:40 + p.plen]))}"
    return f"{side}: ethertype {frame.type:04x}"


class Router:
    def __init__(self, lab, client, server):
        self.sides = {"client": Side(lab, "client", client, (C4, GW_WAN4)), "server": Side(lab, "server", server, (S4, GW_LAN4))}
        self.seen = []
        self.answered = -1

    def send(self, c, number):
        side = self.sides[c["side"]]
        for p in c["packets"]:
            side.send(p(side) if callable(p) else p, c["dst"])
        side.probe(number)


def collect(routers, number, slow=False, expect=(), other=False):
    """What comes out of each router: until it has answered the probe that follows, and as many as expected have come; whoever
    stands still in between is waited for."""
    by_fd = {s.socket.fileno(): (r, s) for r in routers for s in r.sides.values()}
    start = time.monotonic()
    end, done = start + (SLOW if slow else PATIENCE), False
    for r in routers:
        r.seen = []
    while (left := end - time.monotonic()) > 0:
        for fd in select.select(list(by_fd), [], [], left)[0]:
            r, side = by_fd[fd]
            seen = side.receive()
            if isinstance(seen, int):
                r.answered = seen
            elif seen is not None:
                r.seen.append(seen)
        there = (len(r.seen) >= len(expect) if not other or r is routers[0] else r.seen or not slow for r in routers)
        if not done and all(r.answered == number for r in routers) and all(there):
            end, done = time.monotonic() + (OTHER if other else QUIET), True
    for r in routers:
        if r.answered != number:
            raise SystemExit(f"a router did not answer probe {number} within {PATIENCE} s")


def judge(c, ours, linux):
    ours, linux = (sorted(re.sub(r"fe80::[0-9a-f:]+", "LINK-LOCAL", t) for t in seen) for seen in (ours, linux))
    wrong = []
    if len(ours) != len(c["expect"]) or not all(any(re.search(e, o) for o in ours) for e in c["expect"]):
        wrong.append(f"by the clause: {c['expect'] or 'nothing'}")
    if (ours == linux) == (c["linux"] is not None):
        wrong.append("Linux does otherwise" if c["linux"] is None else f"Linux does the same, though it {c['linux']}")
    print(f"{'FAIL' if wrong else 'PASS'}  {c['name']}")
    if wrong:
        for text in wrong + [f"ours:  {ours or 'nothing'}", f"linux: {linux or 'nothing'}"]:
            print(f"      | {text}")
    return not wrong


def main():
    lab, only = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # the kernel keeps the order of what one CPU sends
    routers = [Router(lab, "client", "server"), Router(lab, "rclient", "rserver")]
    for group in (forwarding, checks, no_errors, fragmentation, options, extensions, own_addresses):
        group()
    for side, v6 in (("client", (C6, GW_WAN6)), ("server", (S6, GW_LAN6))):
        for r in routers:  # neighbours get to know each other
            r.sides[side].send(IPv6(src=v6[0], dst=v6[1]) / ICMPv6EchoRequest())
            r.sides[side].probe(0)
            collect([r], 0)
            r.answered = -1
    good = total = 0
    for c in (c for c in cases if only in c["name"]):
        total += 1
        for r in routers:
            r.send(c, total)
        collect(routers, total, c["slow"], c["expect"], c["linux"] is not None)
        good += judge(c, routers[0].seen, routers[1].seen)
    print(f"{good} of {total} as the RFCs say")
    for s in (s for r in routers for s in r.sides.values()):
        s.socket.close()
    for ns in ("client", "server", "rclient", "rserver"):
        subprocess.run(["ip", "netns", "exec", f"{lab}-{ns}", "nft", "delete", "table", "inet", "quiet"], check=True)
    sys.exit(0 if good == total > 0 else 1)


main()
