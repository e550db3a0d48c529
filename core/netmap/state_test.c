/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The files that outlive a process, across versions: what this one writes, the first version reads, because it is the same
 * bytes; what a later one writes, this one reads or sets aside. The fixtures are written by hand. Whoever changes a format
 * adds a fixture, and leaves those that are here.
 */
#include "store.h"

#include "../config/config.h"
#include "../runtime/rcu.h"

#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define ANNA "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define BERT "AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

/* Version 1: an option, and a peer with everything that an operator can set. */
static const char version_1[] =
	"{\"tailrace\":\"operator\",\"version\":1}\n"
	"{\"interface\":\"wg0\",\"option\":\"listen\",\"value\":\"51821\"}\n"
	"{\"interface\":\"wg0\",\"public_key\":\"" ANNA "\",\"created\":true,"
	"\"preshared_key\":\"BwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\",\"endpoint\":\"192.0.2.1:51820\",\"keepalive\":25,"
	"\"replace_allowed\":true,\"add\":[\"100.64.0.1/32\",\"fd00::/8\"]}\n";

/* A later one that the first can read: fields, an option's value and a kind of line that it does not know. */
#define LATER_LINES \
	"{\"interface\":\"wg0\",\"group\":\"servers\",\"members\":[\"" ANNA "\"]}\n" \
	"{\"interface\":\"wg0\",\"option\":\"colours\",\"value\":[\"red\",\"blue\"]}\n"
#define LATER_FIELDS "\"quota\":{\"bytes\":10},\"tags\":[\"a\"]"
static const char version_2[] =
	"{\"tailrace\":\"operator\",\"version\":2,\"reads\":1}\n" LATER_LINES
	"{\"interface\":\"wg0\",\"public_key\":\"" ANNA "\",\"created\":true,\"keepalive\":25,\"add\":[\"100.64.0.1/32\"]," LATER_FIELDS "}\n"
	"{\"interface\":\"wg0\",\"public_key\":\"" BERT "\",\"created\":true,\"add\":[\"100.64.0.2/32\"]," LATER_FIELDS "}\n";

static struct plan_instance wg0 = {.name = "wg0"};
static char dir[64], why[1024];

static int
make_dir(void **state)
{
	strcpy(dir, "/tmp/tailrace-state-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int
remove_dir(void **state)
{
	char command[128];
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static const char *
path_of(const char *name)
{
	static char path[128];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void
write_file(const char *name, const void *bytes, size_t n)
{
	FILE *f = fopen(path_of(name), "w");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static const char *
read_file(const char *name)
{
	static char text[65536];
	FILE *f = fopen(path_of(name), "r");
	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	return text;
}

/* A start, with no peer but the operator's. */
static void
begin(void)
{
	struct plan p = {.file = "test.yaml", .instance = &wg0, .n_instances = 1};
	struct plan_diff d;
	struct netmap_take t = {.to = &p, .diff = &d};

	assert_int_equal(netmap_init(10, dir, why, sizeof(why)), 0);
	plan_diff_peers(NULL, &p, &d);
	while (!netmap_take(&t, 0))
		;
	plan_diff_free(&d);
	rcu_poll();
}

static const struct tr_peer *
peer(uint8_t n)
{
	const uint8_t key[32] = {n};
	return netmap_peer(netmap_table("wg0"), netmap_by_key(netmap_table("wg0"), key));
}

static void
change(uint8_t n, uint32_t fields, const char *add)
{
	struct tr_prefix p;
	struct tr_peer_change c = {.public_key = {n}, .fields = fields, .keepalive = 25, .preshared_key = {7},
		.endpoint = {.family = 4, .remote = {192, 0, 2, 1}, .remote_port = 51820}};

	if (add) {
		assert_true(parse_prefix(add, &p, true));
		c.add = &p;
		c.n_add = 1;
	}
	assert_int_equal(netmap_set(netmap_table("wg0"), &c), 0);
}

static void
writes_what_the_first_version_reads(void **state)
{
	begin();
	assert_int_equal(netmap_option_set("wg0", "listen", "51821"), 0);
	change(1, TR_PEER_PSK | TR_PEER_ENDPOINT | TR_PEER_KEEPALIVE | TR_PEER_REPLACE_ALLOWED, "fd00::/8");
	change(1, 0, "100.64.0.1/32");
	netmap_fini();
	begin(); /* which rewrites the log */
	assert_string_equal(why, "");
	assert_string_equal(read_file("operator.jsonl"), version_1);
	netmap_fini();
}

static void
reads_the_first_version(void **state)
{
	write_file("operator.jsonl", version_1, strlen(version_1));
	begin();
	assert_string_equal(why, "");
	assert_int_equal(peer(1)->keepalive, 25);
	assert_int_equal(peer(1)->preshared_key[0], 7);
	assert_int_equal(peer(1)->endpoint.remote_port, 51820);
	assert_int_equal(peer(1)->n_allowed, 2);
	assert_string_equal(netmap_option("wg0", "listen"), "51821");
	netmap_fini();
}

static void
keeps_what_a_later_version_wrote(void **state)
{
	write_file("operator.jsonl", version_2, strlen(version_2));
	begin();
	assert_string_equal(why, "");
	assert_int_equal(peer(1)->keepalive, 25);
	assert_int_equal(peer(2)->n_allowed, 1);
	assert_null(netmap_option("wg0", "colours"));
	change(1, 0, "10.1.0.0/16"); /* the others of its fields stay */
	change(2, TR_PEER_REMOVE, NULL);
	assert_int_equal(netmap_option_set("wg0", "listen", "51821"), 0);
	netmap_fini();

	for (int i = 0; i < 2; i++) { /* and again */
		begin();
		assert_string_equal(why, "");
		assert_int_equal(peer(1)->n_allowed, 2);
		assert_null(peer(2));
		assert_string_equal(read_file("operator.jsonl"),
			"{\"tailrace\":\"operator\",\"version\":2,\"reads\":1}\n" LATER_LINES
			"{\"interface\":\"wg0\",\"option\":\"listen\",\"value\":\"51821\"}\n"
			"{\"interface\":\"wg0\",\"public_key\":\"" ANNA "\",\"created\":true,\"keepalive\":25,"
			"\"add\":[\"10.1.0.0/16\",\"100.64.0.1/32\"]," LATER_FIELDS "}\n");
		netmap_fini();
	}
}

static void
sets_what_it_cannot_read_aside(void **state)
{
	static const char version_3[] = "{\"tailrace\":\"operator\",\"version\":3,\"reads\":2}\n{\"wg0\":{\"peers\":[]}}\n";

	write_file("operator.jsonl", version_3, strlen(version_3));
	begin();
	assert_non_null(strstr(why, "operator.jsonl is of version 3, this tailrace reads up to 1: set aside as"));
	assert_string_equal(read_file("operator.jsonl.newer"), version_3);
	change(1, 0, "100.64.0.1/32"); /* it goes on with a file of its own */
	netmap_fini();
	begin();
	assert_string_equal(why, "");
	assert_non_null(peer(1));
	netmap_fini();
}

static void
believes_no_damaged_head(void **state)
{
	static const char *const heads[] = {"{\"tailrace\":\"operator\",\"version\":1,\"reads\":2}\n", "{\"tailrace\":\"operator\"}\n",
		"{\"tailrace\":\"paths\",\"version\":1}\n", "{\"tailrace\":\"operator\",\"version\":2,\"reads\":0}\n"};

	for (unsigned i = 0; i < sizeof(heads) / sizeof(*heads); i++) {
		write_file("operator.jsonl", heads[i], strlen(heads[i]));
		begin();
		assert_non_null(strstr(why, "line 1 is damaged"));
		netmap_fini();
	}
}

/* ---- paths.bin ---- */

struct slot { /* of version 1 */
	char interface[32];
	uint8_t key[32];
	uint8_t endpoint[40];
	uint64_t session, reserved, check;
};
_Static_assert(sizeof(struct slot) == 128, "layout of the file");

/* By hand: the head, and where peer 1 was heard from last. */
static void
write_paths(const char *head, uint64_t reads)
{
	static const uint8_t key[crypto_shorthash_KEYBYTES] = "tailrace paths";
	const struct tr_endpoint from = {.family = 4, .remote = {198, 51, 100, 9}, .remote_port = 4242};
	struct slot s[2] = {{.reserved = reads}, {.interface = "wg0", .key = {1}, .session = 5, .reserved = reads}};

	strcpy(s[0].interface, head);
	memcpy(s[1].endpoint, &from, sizeof(from));
	crypto_shorthash((uint8_t *)&s[1].check, (const uint8_t *)&s[1], offsetof(struct slot, check), key);
	write_file("paths.bin", s, sizeof(s));
}

static uint16_t
port_heard_from(void)
{
	struct tr_endpoint e = {0};
	const uint32_t id = peer(1)->id;

	path_get(&id, 1, 0, &e);
	return e.remote_port;
}

static void
reads_paths_of_versions(void **state)
{
	static const struct {
		const char *head;
		uint64_t reads;
		uint16_t port;
		const char *why;
	} cases[] = {
		{"tailrace paths 1", 0, 4242, NULL},
		{"tailrace paths 2", 1, 4242, NULL},
		{"tailrace paths 2", 0, 0, "paths.bin is of a later version than this tailrace reads: set aside as"},
		{"tailrace paths 3", 2, 0, "paths.bin is of a later version than this tailrace reads: set aside as"},
		{"tailrace path 1", 0, 0, "paths.bin: damaged: set aside as"},
	};
	static const char operator[] = "{\"tailrace\":\"operator\",\"version\":1}\n"
		"{\"interface\":\"wg0\",\"public_key\":\"" ANNA "\",\"created\":true,\"add\":[\"100.64.0.1/32\"]}\n";

	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		write_file("operator.jsonl", operator, strlen(operator));
		write_paths(cases[i].head, cases[i].reads);
		begin();
		assert_int_equal(port_heard_from(), cases[i].port);
		if (cases[i].why)
			assert_non_null(strstr(why, cases[i].why));
		else
			assert_string_equal(why, "");
		netmap_fini(); /* saves */
		if (cases[i].port) { /* as the first version does */
			struct slot s[2];
			memcpy(s, read_file("paths.bin"), sizeof(s));
			assert_string_equal(s[0].interface, "tailrace paths 1");
			assert_string_equal(s[1].interface, "wg0");
			assert_int_equal(s[1].session, 5);
		}
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(writes_what_the_first_version_reads),
		TEST(reads_the_first_version),
		TEST(keeps_what_a_later_version_wrote),
		TEST(sets_what_it_cannot_read_aside),
		TEST(believes_no_damaged_head),
		TEST(reads_paths_of_versions),
	};

	if (sodium_init() < 0 || rcu_init() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
