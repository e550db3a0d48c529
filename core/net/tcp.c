/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/tcp.h"

#include "net/ip.h"

enum { TCP_LEN = 20, TCP_SYN = 2, OPT_END = 0, OPT_NOP = 1, OPT_MSS = 2 };

/* Offset of the MSS value, or 0. */
static uint32_t
find_mss(const uint8_t *tcp, uint32_t header)
{
	uint32_t at = TCP_LEN;
	while (at < header && tcp[at] != OPT_END) {
		if (tcp[at] == OPT_NOP) {
			at++;
			continue;
		}
		if (header - at < 2 || tcp[at + 1] < 2 || tcp[at + 1] > header - at)
			return 0;
		if (tcp[at] == OPT_MSS)
			return tcp[at + 1] == 4 ? at + 2 : 0;
		at += tcp[at + 1];
	}
	return 0;
}

bool
tcp_clamp_mss(uint8_t *tcp, uint32_t len, uint16_t mss)
{
	if (len < TCP_LEN || (tcp[13] & TCP_SYN) == 0)
		return false;
	uint32_t header = (tcp[12] >> 4) * 4u;
	if (header < TCP_LEN || header > len)
		return false;
	uint32_t at = find_mss(tcp, header);
	if (at == 0 || get_be16(tcp + at) <= mss)
		return false;
	uint16_t from = get_16(tcp + at), to;
	put_be16(tcp + at, mss);
	to = get_16(tcp + at);
	if (at & 1) { /* the option lies across two words of the sum */
		from = __builtin_bswap16(from);
		to = __builtin_bswap16(to);
	}
	put_16(tcp + 16, csum_change(get_16(tcp + 16), from, to));
	return true;
}
