/* SPDX-License-Identifier: BSD-3-Clause */
/* Filters in pcap-filter(7), compiled here: names in them are looked up by this process, never by the daemon. */
#include "filter.h"

#include <pcap/pcap.h>
#include <stdlib.h>

char *
filter_compile(const char *expression)
{
	struct bpf_program p;
	char *text = NULL;
	size_t size;
	pcap_t *raw = pcap_open_dead(DLT_RAW, 65535);
	if (!raw || pcap_compile(raw, &p, expression, 1, PCAP_NETMASK_UNKNOWN) != 0) {
		cli_error("filter `%s`: %s", expression, raw ? pcap_geterr(raw) : "out of memory");
		if (raw)
			pcap_close(raw);
		return NULL;
	}
	FILE *f = open_memstream(&text, &size);
	for (unsigned i = 0; f && i < p.bf_len; i++)
		fprintf(f, "%s%u,%u,%u,%u", i ? " " : "", p.bf_insns[i].code, p.bf_insns[i].jt, p.bf_insns[i].jf, p.bf_insns[i].k);
	if (f)
		fclose(f);
	pcap_freecode(&p);
	pcap_close(raw);
	return text;
}
