/* SPDX-License-Identifier: BSD-3-Clause */
#include "replay.h"

#include <pcap/pcap.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "/tmp/replay-XXXXXX", why[400];

static const uint8_t udp4[] = {0x45, 0, 0, 30, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0, 9, 0, 9, 0, 10, 0, 0, 'a', 'b'};
static const uint8_t tcp6[60] = {0x60, 0, 0, 0, 0, 20, 6, 64, 0xfd};

static void
add(pcap_dumper_t *d, int link, const char *head, size_t head_len, const uint8_t *ip, size_t ip_len, long us)
{
	uint8_t frame[200] = {0};
	struct pcap_pkthdr h = {.ts = {.tv_sec = 1000, .tv_usec = us}};

	memcpy(frame, head, head_len);
	memcpy(frame + head_len, ip, ip_len);
	h.caplen = h.len = (bpf_u_int32)(link == DLT_EN10MB && head_len + ip_len < 60 ? 60 : head_len + ip_len); /* padded */
	pcap_dump((u_char *)d, &h, frame);
}

static struct replay *
file(int link, void (*fill)(pcap_dumper_t *))
{
	pcap_t *p = pcap_open_dead(link, 65535);
	pcap_dumper_t *d = pcap_dump_open(p, path);

	assert_non_null(d);
	if (fill)
		fill(d);
	pcap_dump_close(d);
	pcap_close(p);
	return replay_read(path, why, sizeof(why));
}

#define MACS "\1\1\1\1\1\1\2\2\2\2\2\2"

static void
mixed(pcap_dumper_t *d)
{
	add(d, DLT_EN10MB, MACS "\x08\0", 14, udp4, sizeof(udp4), 100);
	add(d, DLT_EN10MB, MACS "\x08\6", 14, udp4, sizeof(udp4), 150); /* ARP */
	add(d, DLT_EN10MB, MACS "\x81\0\0\7\x86\xdd", 18, tcp6, sizeof(tcp6), 400);
	add(d, DLT_EN10MB, MACS "\x81\0\0\7\x81\0\0\7\x86\xdd", 22, tcp6, 41, 450); /* cut */
	add(d, DLT_EN10MB, MACS "\x08\0", 14, udp4, sizeof(udp4), 300); /* the clock went back */
}

static void
ethernet(void **state)
{
	struct replay *r = file(DLT_EN10MB, mixed);

	assert_non_null(r);
	assert_int_equal(r->n, 3);
	assert_int_equal(r->skipped, 2);
	assert_int_equal(r->packet[0].len, sizeof(udp4));
	assert_memory_equal(r->packet[0].ip, udp4, sizeof(udp4));
	assert_int_equal(r->packet[0].l3_len, 20);
	assert_int_equal(r->packet[1].l4, 6);
	assert_int_equal(r->packet[1].l3_len, 40);
	assert_memory_equal(r->packet[1].ip, tcp6, sizeof(tcp6));
	assert_int_equal(r->packet[1].at, 300000);
	assert_int_equal(r->packet[2].at, 300000);
	assert_int_equal(r->span, 450000);
	replay_free(r);
}

static void
raw(pcap_dumper_t *d)
{
	for (int i = 0; i < 5000; i++)
		add(d, DLT_RAW, "", 0, i % 2 ? tcp6 : udp4, i % 2 ? sizeof(tcp6) : sizeof(udp4), i);
}

static void
many(void **state)
{
	struct replay *r = file(DLT_RAW, raw);

	assert_non_null(r);
	assert_int_equal(r->n, 5000);
	for (unsigned i = 0; i < r->n; i++)
		assert_memory_equal(r->packet[i].ip, i % 2 ? tcp6 : udp4, r->packet[i].len);
	replay_free(r);
}

static void
nothing(void **state)
{
	assert_null(file(DLT_RAW, NULL));
	assert_non_null(strstr(why, "no whole IP packet"));
	assert_null(file(DLT_IEEE802_11, NULL));
	assert_non_null(strstr(why, "neither Ethernet"));
	assert_null(replay_read("/nonexistent", why, sizeof(why)));
	assert_non_null(strstr(why, "No such file"));
	FILE *f = fopen(path, "w");
	fputs("no capture", f);
	fclose(f);
	assert_null(replay_read(path, why, sizeof(why)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(ethernet), cmocka_unit_test(many), cmocka_unit_test(nothing)};
	close(mkstemp(path));
	int rc = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	return rc;
}
