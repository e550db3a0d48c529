/* SPDX-License-Identifier: BSD-3-Clause */
/* fh_expect() and its like print what was wrong and end the process, so a test needs no framework. */
#include <stdio.h>
#include <tailrace/fakehost.h>

extern const struct tr_plugin tr_plugin;

/* IPv4, UDP from 192.0.2.9:4660 to 198.51.100.7:7 and back; payload "hi". */
#define REQUEST "4500001e 00000000 40118e8b c0000209 c6336407 12340007 000a98f1 6869"
#define ANSWER "4500001e 00004000 40114e8b c6336407 c0000209 00071234 000a98f1 6869"

int
main(void)
{
	struct fh *h = fh_new(&(struct fh_config){.plugin = &tr_plugin, .options = "max: 2"});

	if (!h)
		return 1;
	fh_send(h, "in", FH_BYTES(REQUEST));
	fh_expect(h, "out", FH_BYTES(ANSWER));
	if (fh_reconfigure(h, "max: 1") != 0)
		return 1;
	fh_send(h, "in", FH_BYTES(REQUEST));
	fh_expect_drop(h, "too_long");
	if (fh_counter(h, "echoed") != 1 || fh_drops(h, "too_long") != 1)
		return 1;
	fh_free(h);
	puts("echo: passed");
	return 0;
}
