/* SPDX-License-Identifier: BSD-3-Clause */
/* The class `stream` on the fake host: what leaves it is sent back, some of it changed. */
#include "pktgen.h"

#include <pcap/pcap.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <tailrace/fakehost.h>
#include <unistd.h>

#include <cmocka.h>

#define MS 1000000ull

extern const struct tr_plugin tr_plugin;

static struct fh *
stream(const char *options)
{
	struct fh *h = fh_new(&(struct fh_config){.plugin = &tr_plugin, .class_ = "stream", .options = options});

	if (!h)
		fprintf(stderr, "%s\n", fh_failure());
	return h;
}

struct traffic {
	unsigned n, size[9600], from[256], to[256], lose, spoil, ports[70000];
	uint64_t first, last;
};

/* Everything back again, but for every Nth. */
static void
reflect(struct fh *h, uint64_t ns, struct traffic *s)
{
	static uint8_t kept[9600];
	const struct fh_out *o;

	for (uint64_t end = fh_now(h) + ns; fh_now(h) < end;) {
		fh_advance(h, 4 * MS);
		while ((o = fh_next(h))) {
			if (!o->gate)
				continue;
			assert_string_equal(o->gate, "out");
			size_t len = o->len;
			memcpy(kept, o->data, len);
			s->n++;
			s->size[len]++;
			s->from[kept[15]]++;
			s->to[kept[19]]++;
			s->ports[kept[20] << 8 | kept[21]]++;
			if (s->lose && s->n % s->lose == 0)
				continue;
			if (s->spoil && s->n % s->spoil == 0)
				kept[len - 1] ^= 1;
			fh_send(h, "in", kept, len);
		}
	}
}

static char *
command(struct fh *h, const char *name, const char *a, const char *b)
{
	char text[2][40], *argv[] = {text[0], text[1]}, *json = NULL;

	snprintf(text[0], sizeof(text[0]), "%s", a ? a : "");
	snprintf(text[1], sizeof(text[1]), "%s", b ? b : "");
	assert_int_equal(fh_command(h, name, (a != NULL) + (b != NULL), argv, &json), 0);
	return json;
}

static uint64_t
figure(struct fh *h, const char *name)
{
	char *json = command(h, "report", NULL, NULL), key[40];

	snprintf(key, sizeof(key), "\"%s\":", name);
	const char *at = strstr(json, key);
	uint64_t v = at ? strtoull(at + strlen(key) + strspn(at + strlen(key), " "), NULL, 10) : UINT64_MAX;
	free(json);
	return v;
}

static void
mixes_and_flows(void **state)
{
	static struct traffic s;
	struct fh *h = stream("from: 10.20.0.10\nto: 10.30.0.20\nflows: 12\nsources: 4\ndestinations: 3\nrate: 10k\n"
			      "size: 28x64,16x570,4x1518\n");

	assert_non_null(h);
	free(command(h, "start", "2", NULL));
	reflect(h, 2200 * MS, &s);
	assert_in_range(s.n, 19900, 20000);
	assert_int_equal(figure(h, "sent"), s.n);
	assert_int_equal(figure(h, "lost"), 0);
	assert_int_equal(figure(h, "reordered") + figure(h, "duplicates"), 0);
	assert_in_range(s.size[46], s.n * 28 / 48 - 30, s.n * 28 / 48 + 30);
	assert_in_range(s.size[552], s.n * 16 / 48 - 30, s.n * 16 / 48 + 30);
	assert_in_range(s.size[1500], s.n * 4 / 48 - 30, s.n * 4 / 48 + 30);
	for (unsigned i = 0; i < 4; i++)
		assert_in_range(s.from[10 + i], s.n / 4 - 1, s.n / 4 + 1);
	for (unsigned i = 0; i < 3; i++)
		assert_in_range(s.to[20 + i], s.n / 3 - 1, s.n / 3 + 1);
	for (unsigned i = 0; i < 12; i++)
		assert_in_range(s.ports[1024 + i], s.n / 12 - 1, s.n / 12 + 1);
	fh_free(h);
}

static void
notices(void **state)
{
	static struct traffic s;
	struct fh *h = stream("from: 10.20.0.10\nto: 10.30.0.20\nrate: 1k\nsize: 9000\n");

	s.lose = 10;
	s.spoil = 7;
	free(command(h, "set", "rate", "2k"));
	free(command(h, "set", "size", "1500"));
	free(command(h, "start", "1", NULL));
	reflect(h, 1200 * MS, &s);
	assert_int_equal(s.size[1482], s.n);
	assert_in_range(s.n, 1980, 2000);
	assert_int_equal(fh_counter(h, "corrupt"), s.n / 7 - s.n / 70);
	assert_int_equal(figure(h, "lost"), s.n / 10 + fh_counter(h, "corrupt"));
	uint8_t stray[60] = {0x45};
	fh_send(h, "in", stray, sizeof(stray));
	assert_int_equal(fh_counter(h, "other"), 1);
	fh_free(h);
}

static void
six(void **state)
{
	static struct traffic s;
	struct fh *h = stream("from: fd00::1\nto: fd00:1::1\nrate: 1k\nsize: 84\n");

	assert_non_null(h);
	free(command(h, "start", "1", NULL));
	reflect(h, 1100 * MS, &s);
	assert_in_range(s.size[66], 980, 1000);
	assert_int_equal(figure(h, "lost"), 0);
	fh_free(h);
}

static void
captures(void **state)
{
	static const uint8_t udp4[] = {0x45, 0, 0, 30, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0, 9, 0, 9, 0, 10, 0, 0, 1, 2};
	static struct traffic s, t;
	char path[] = "/tmp/stream-XXXXXX", options[200];

	close(mkstemp(path));
	pcap_t *p = pcap_open_dead(DLT_RAW, 65535);
	pcap_dumper_t *d = pcap_dump_open(p, path);
	for (int i = 0; i < 10; i++) { /* 10 ms apart */
		struct pcap_pkthdr head = {.ts = {.tv_sec = 1, .tv_usec = 10000 * i}, .caplen = sizeof(udp4), .len = sizeof(udp4)};
		pcap_dump((u_char *)d, &head, udp4);
	}
	pcap_dump_close(d);
	pcap_close(p);
	snprintf(options, sizeof(options), "from: 10.0.0.1\nto: 10.0.0.2\nrate: 2k\npcap: %s\n", path);
	struct fh *h = stream(options);
	free(command(h, "start", "1", NULL));
	reflect(h, 1100 * MS, &s);
	assert_in_range(s.n, 1980, 2000);
	assert_int_equal(s.size[30], s.n);
	assert_int_equal(fh_counter(h, "replayed"), s.n);
	assert_int_equal(fh_counter(h, "other"), s.n);
	fh_free(h);
	snprintf(options, sizeof(options), "from: 10.0.0.1\nto: 10.0.0.2\ntimed: true\npcap: %s\n", path);
	h = stream(options);
	free(command(h, "start", "1", NULL));
	reflect(h, 1100 * MS, &t);
	assert_in_range(t.n, 99, 100); /* a hundred a second, round after round */
	fh_free(h);
	unlink(path);
}

static void
refuses(void **state)
{
	static const struct {
		const char *options, *why;
	} wrong[] = {
		{"from: 10.0.0.1\nto: fd00::1\n", "different families"},
		{"from: 10.0.0.1\nto: 10.0.0.2\nsize: 63\n", "size 63"},
		{"from: fd00::1\nto: fd00::2\nsize: 83\n", "size 83"},
		{"from: 10.0.0.1\nto: 10.0.0.2\ntimed: true\n", "pcap"},
		{"from: 10.0.0.1\nto: 10.0.0.2\npcap: /nonexistent\n", "No such file"},
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		assert_null(fh_new(&(struct fh_config){.plugin = &tr_plugin, .class_ = "stream", .options = wrong[i].options}));
		assert_non_null(strstr(fh_failure(), wrong[i].why));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(mixes_and_flows), cmocka_unit_test(notices), cmocka_unit_test(six),
		cmocka_unit_test(captures), cmocka_unit_test(refuses)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
