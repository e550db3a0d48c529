/* SPDX-License-Identifier: BSD-3-Clause */
/* Filters on the management socket: libpcap's compiler asks name servers, so the command runs it, and the program comes here. */
#include "commands_private.h"

#include <pcap/bpf.h>
#include <stdlib.h>

#define PROGRAM_MAX 4096 /* instructions; the engine takes no more */

static bool
number(const char **s, unsigned long max, unsigned long *out)
{
	char *end;
	if (**s < '0' || **s > '9')
		return false;
	*out = strtoul(*s, &end, 10);
	*s = end + (*end == ',' || *end == ' ');
	return *out <= max && (*end == ',' || *end == ' ' || !*end);
}

/* "CODE,JT,JF,K CODE,JT,JF,K …" */
bool
filter_parse(const char *text, struct filter *out)
{
	struct bpf_insn *p = calloc(PROGRAM_MAX, sizeof(*p));
	unsigned n = 0;
	while (p && *text && n < PROGRAM_MAX) {
		unsigned long code, jt, jf, k;
		if (!number(&text, UINT16_MAX, &code) || !number(&text, UINT8_MAX, &jt) || !number(&text, UINT8_MAX, &jf) ||
			!number(&text, UINT32_MAX, &k))
			break;
		p[n++] = (struct bpf_insn){(u_short)code, (u_char)jt, (u_char)jf, (bpf_u_int32)k};
	}
	if (!p || *text || !n) {
		free(p);
		return false;
	}
	*out = (struct filter){p, n};
	return true;
}
