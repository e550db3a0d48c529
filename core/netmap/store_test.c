/* SPDX-License-Identifier: BSD-3-Clause */
#include "store.h"

#include "../config/config.h"
#include "../runtime/rcu.h"
#include "../telemetry/json_show.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- Help ---- */

static struct plan_instance instances[] = {{.name = "wg0"}, {.name = "wg1"}};
static char events[4096];
static char dir[64], why[512];
static struct plan last; /* what was provided */
static bool taken;

static void
note(void *arg, struct netmap_table *t, enum tr_peer_event e, uint32_t peer)
{
	size_t n = strlen(events);
	snprintf(events + n, sizeof(events) - n, "%c%u ", "+~-!"[e], peer);
	if (e == TR_PEER_REMOVED)
		netmap_released(peer);
}

static void
expect_events(const char *text)
{
	assert_string_equal(events, text);
	events[0] = '\0';
}

static void
begin(uint32_t max)
{
	events[0] = '\0';
	taken = false;
	assert_int_equal(netmap_init(max, dir[0] ? dir : NULL, why, sizeof(why)), 0);
	netmap_subscribe(&(struct netmap_events){.event = note});
}

static int
make_dir(void **state)
{
	strcpy(dir, "/tmp/tailrace-netmap-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int
remove_dir(void **state)
{
	char command[128];
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	dir[0] = '\0';
	return system(command);
}

static struct tr_prefix
prefix(const char *text)
{
	struct tr_prefix p;
	assert_true(parse_prefix(text, &p, true));
	return p;
}

static struct tr_addr
addr(const char *text)
{
	struct tr_addr a;
	assert_true(parse_addr(text, &a));
	return a;
}

static struct tr_key
key(uint32_t n)
{
	struct tr_key k = {.b = {1}};
	memcpy(k.b + 4, &n, sizeof(n));
	return k;
}

/* A plan by hand: peers "NUMBER NAME INTERFACE PREFIX …", or "-" for no name. It lives until the next but one. */
static struct plan
plan_of(unsigned n, const char *const *text)
{
	static struct plan_peer peers[2][64];
	static struct tr_prefix sets[2][64][8];
	static char names[2][64][32];
	static unsigned turn;
	turn ^= 1;
	struct plan_peer *peer = peers[turn];
	struct tr_prefix(*set)[8] = sets[turn];
	char(*name)[32] = names[turn];
	struct plan p = {.file = "test.yaml", .instance = instances, .n_instances = 2, .domain = "Mesh.Example",
		.peer = peer, .n_peers = n};

	memset(peer, 0, sizeof(peers[0]));
	for (unsigned i = 0; i < n; i++) {
		char copy[256], *save;
		snprintf(copy, sizeof(copy), "%s", text[i]);
		peer[i].public_key = key((uint32_t)atoi(strtok_r(copy, " ", &save)));
		snprintf(name[i], sizeof(name[i]), "%s", strtok_r(NULL, " ", &save));
		peer[i].name = name[i][0] == '-' ? NULL : name[i];
		peer[i].interface = atoi(strtok_r(NULL, " ", &save));
		for (char *t; (t = strtok_r(NULL, " ", &save));)
			set[i][peer[i].allowed.n++] = prefix(t);
		peer[i].allowed.items = set[i];
	}
	return p;
}
#define PLAN(...) plan_of(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), (const char *[]){__VA_ARGS__})

static void
provide(struct plan p)
{
	struct netmap_take t = {.from = taken ? &last : NULL, .to = &p};
	struct plan_diff d;

	plan_diff_peers(t.from, &p, &d);
	t.diff = &d;
	while (!netmap_take(&t, 0)) /* in the smallest steps */
		;
	plan_diff_free(&d);
	last = p;
	taken = true;
	rcu_poll();
}

static enum tr_name_status
find_name(const char *name, struct tr_name *out)
{
	struct tr_name_find f = {.name = name, .len = (uint16_t)strlen(name)};
	netmap_names(&f, 1);
	*out = f.found;
	return f.status;
}

static uint32_t
who(const char *interface, const char *text)
{
	struct tr_addr a = addr(text);
	const uint8_t *ip = a.ip;
	uint32_t value;
	(a.family == 4 ? lpm_find4 : lpm_find6)(netmap_allowed(netmap_table(interface)), &ip, 1, &value);
	return value;
}

static const struct tr_peer *
peer_of(const char *interface, uint32_t n)
{
	struct tr_key k = key(n);
	return netmap_peer(netmap_table(interface), netmap_by_key(netmap_table(interface), k.b));
}

static int
change(uint32_t n, uint32_t fields, const char *add, const char *del)
{
	struct tr_prefix p[2];
	struct tr_peer_change c = {.fields = fields, .keepalive = 25, .preshared_key = {7},
		.endpoint = {.family = 4, .remote = {192, 0, 2, 1}, .remote_port = 51820}};
	struct tr_key k = key(n);

	memcpy(c.public_key, k.b, 32);
	if (add) {
		p[0] = prefix(add);
		c.add = &p[0];
		c.n_add = 1;
	}
	if (del) {
		p[1] = prefix(del);
		c.remove = &p[1];
		c.n_remove = 1;
	}
	return netmap_set(netmap_table("wg0"), &c);
}

/* ---- The provider's layer ---- */

static void
publishes_only_changes(void **state)
{
	begin(4);
	provide(PLAN("1 anna 0 100.64.0.1/32 10.0.0.0/8", "2 bert 0 100.64.0.2/32", "1 anna 1 100.64.0.1/32"));
	expect_events("+1 +2 +3 ");
	assert_int_equal(who("wg0", "100.64.0.1"), 1);
	assert_int_equal(who("wg0", "10.9.9.9"), 1);
	assert_int_equal(who("wg1", "100.64.0.1"), 3);
	assert_int_equal(who("wg1", "10.9.9.9"), 0);
	assert_null(netmap_peer(netmap_table("wg1"), 1));
	assert_string_equal(peer_of("wg0", 1)->origin, "pipeline.yaml");

	provide(PLAN("1 anna 0 10.0.0.0/8 100.64.0.1/32", "2 bert 0 100.64.0.2/32", "1 anna 1 100.64.0.1/32"));
	expect_events(""); /* another order is no change */
	provide(PLAN("2 bert 0 100.64.0.2/32 10.0.0.0/8", "1 anna 0 100.64.0.1/32", "1 anna 1 100.64.0.1/32"));
	expect_events("~1 ~2 "); /* the prefix moved */
	assert_int_equal(who("wg0", "10.9.9.9"), 2);
	assert_int_equal(peer_of("wg0", 1)->n_allowed, 1);

	provide(PLAN("2 bert 0 100.64.0.2/32", "3 carl 0 100.64.0.1/32"));
	assert_int_equal(rcu_poll(), 0);
	assert_null(peer_of("wg0", 1));
	assert_int_equal(who("wg0", "100.64.0.1"), peer_of("wg0", 3)->id);
	assert_int_equal(who("wg0", "10.9.9.9"), 0);
	provide(PLAN("2 bert 0", "4 - 0", "5 - 0", "6 - 0", "7 - 0", "8 - 0"));
	assert_non_null(netmap_problem());
	netmap_fini();
}

/* Two peers claim one prefix: the first keeps it, the second gets it when the first lets go. */
static void
settles_conflicts(void **state)
{
	begin(10);
	provide(PLAN("1 - 0 10.0.0.0/8", "2 - 0 10.0.0.0/8"));
	assert_int_equal(who("wg0", "10.1.1.1"), 1);
	assert_int_equal(peer_of("wg0", 2)->n_allowed, 0);
	provide(PLAN("1 - 0", "2 - 0 10.0.0.0/8"));
	assert_int_equal(who("wg0", "10.1.1.1"), 2);
	assert_int_equal(peer_of("wg0", 2)->n_allowed, 1);
	provide(PLAN("2 - 0 10.0.0.0/8"));
	assert_int_equal(who("wg0", "10.1.1.1"), 2);
	netmap_fini();
}

static void
ids_come_back_after_release_and_grace(void **state)
{
	begin(2);
	int reader = rcu_register();
	rcu_online(reader);
	provide(PLAN("1 - 0", "2 - 0"));
	provide(PLAN("2 - 0"));
	expect_events("+1 +2 -1 ");
	provide(PLAN("2 - 0", "3 - 0"));
	assert_null(peer_of("wg0", 3)); /* the reader may still hold id 1 */
	rcu_quiescent(reader);
	assert_int_equal(rcu_poll(), 0);
	events[0] = '\0';
	provide(PLAN("2 - 0"));
	provide(PLAN("2 - 0", "3 - 0"));
	expect_events("+1 ");
	rcu_offline(reader);
	rcu_unregister(reader);
	netmap_fini();
}

static void
answers_names(void **state)
{
	struct tr_name_option names[] = {{"nas", addr("10.20.0.5")}, {"nas", addr("fd00::5")}, {"anna", addr("10.20.0.6")}};
	struct plan p = PLAN("1 anna 0 100.64.0.1/32 fd7a:115c:a1e0::1/128 10.0.0.0/8", "2 Bert 0 198.18.0.7/32");
	struct tr_name n;
	const char *name;
	size_t len;

	begin(10);
	p.names = (struct tr_list){3, names};
	provide(p);
	assert_int_equal(find_name("nas.mesh.example", &n), TR_NAME_FOUND);
	assert_int_equal(n.n, 2);
	assert_int_equal(find_name("anna.mesh.example", &n), TR_NAME_FOUND);
	assert_int_equal(n.n, 3);
	assert_int_equal(find_name("bert.mesh.example", &n), TR_NAME_FOUND);
	assert_int_equal(find_name("carl.mesh.example", &n), TR_NAME_NONE);
	assert_int_equal(find_name("mesh.example", &n), TR_NAME_NONE);
	assert_int_equal(find_name("xmesh.example", &n), TR_NAME_FOREIGN);
	assert_int_equal(find_name("example", &n), TR_NAME_FOREIGN);

	struct tr_addr a = addr("fd7a:115c:a1e0::1");
	assert_int_equal(netmap_reverse(&a, &name, &len), TR_NAME_FOUND);
	assert_string_equal(name, "anna.mesh.example");
	assert_int_equal(len, 17);
	a = addr("100.64.0.9");
	assert_int_equal(netmap_reverse(&a, &name, &len), TR_NAME_NONE);
	a = addr("10.9.9.9");
	assert_int_equal(netmap_reverse(&a, &name, &len), TR_NAME_FOREIGN);

	/* Another domain, a peer renamed, a name gone. */
	p = PLAN("1 anne 0 100.64.0.1/32", "2 Bert 0 198.18.0.7/32");
	p.domain = "other";
	p.names = (struct tr_list){1, names};
	provide(p);
	assert_int_equal(find_name("anna.mesh.example", &n), TR_NAME_FOREIGN);
	assert_int_equal(find_name("anna.other", &n), TR_NAME_NONE);
	assert_int_equal(find_name("bert.other", &n), TR_NAME_FOUND);
	assert_int_equal(find_name("anne.other", &n), TR_NAME_FOUND);
	assert_int_equal(find_name("nas.other", &n), TR_NAME_FOUND);
	assert_int_equal(n.n, 1);
	a = addr("100.64.0.1");
	assert_int_equal(netmap_reverse(&a, &name, &len), TR_NAME_FOUND);
	assert_string_equal(name, "anne.other");
	a = addr("fd00::5");
	assert_int_equal(netmap_reverse(&a, &name, &len), TR_NAME_FOREIGN);
	netmap_fini();
}

/* ---- The operator's layer ---- */

static void
lays_the_operator_above(void **state)
{
	begin(10);
	provide(PLAN("1 anna 0 100.64.0.1/32", "2 bert 0 100.64.0.2/32 10.0.0.0/8"));
	events[0] = '\0';

	assert_int_equal(change(1, TR_PEER_KEEPALIVE, NULL, NULL), 0);
	expect_events("~1 ");
	assert_int_equal(peer_of("wg0", 1)->keepalive, 25);
	assert_string_equal(peer_of("wg0", 1)->origin, "pipeline.yaml, operator");
	assert_int_equal(peer_of("wg0", 1)->n_allowed, 1);

	assert_int_equal(change(1, 0, "10.1.2.3/8", NULL), 0); /* host bits are masked; bert loses it */
	expect_events("~1 ~2 ");
	assert_int_equal(who("wg0", "10.9.9.9"), 1);
	assert_int_equal(peer_of("wg0", 2)->n_allowed, 1);
	assert_int_equal(change(1, 0, NULL, "10.0.0.0/8"), 0);
	assert_int_equal(who("wg0", "10.9.9.9"), 0); /* as with wg: it does not go back */
	assert_int_equal(change(2, 0, "10.0.0.0/8", NULL), 0);
	assert_int_equal(who("wg0", "10.9.9.9"), 2);
	events[0] = '\0';

	/* The provider changes below; what the operator set stays. */
	provide(PLAN("1 anna 0 100.64.0.1/32 100.64.0.9/32", "2 bert 0 100.64.0.2/32 10.0.0.0/8"));
	expect_events("~1 ");
	assert_int_equal(peer_of("wg0", 1)->keepalive, 25);
	assert_int_equal(who("wg0", "100.64.0.9"), 1);

	assert_int_equal(change(1, TR_PEER_REMOVE, NULL, NULL), 0);
	expect_events("-1 ");
	assert_null(peer_of("wg0", 1));
	assert_int_equal(who("wg0", "100.64.0.1"), 0);
	provide(PLAN("1 anna 0 100.64.0.1/32", "2 bert 0 100.64.0.2/32"));
	assert_null(peer_of("wg0", 1)); /* absent stays absent */
	events[0] = '\0';
	assert_int_equal(change(1, TR_PEER_UPDATE_ONLY | TR_PEER_KEEPALIVE, NULL, NULL), 0);
	assert_null(peer_of("wg0", 1));
	assert_int_equal(change(1, 0, "100.64.7.7/32", NULL), 0); /* anew: nothing shines through */
	assert_int_equal(peer_of("wg0", 1)->n_allowed, 1);
	assert_int_equal(who("wg0", "100.64.7.7"), peer_of("wg0", 1)->id);

	assert_int_equal(change(9, TR_PEER_PSK | TR_PEER_ENDPOINT, "0.0.0.0/0", NULL), 0);
	assert_string_equal(peer_of("wg0", 9)->origin, "operator");
	assert_int_equal(peer_of("wg0", 9)->endpoint.remote_port, 51820);
	assert_int_equal(change(9, TR_PEER_REPLACE_ALLOWED, "::/0", NULL), 0);
	assert_int_equal(who("wg0", "8.8.8.8"), 0);
	assert_int_equal(who("wg0", "2001:db8::1"), peer_of("wg0", 9)->id);
	assert_int_equal(change(9, TR_PEER_REMOVE, NULL, NULL), 0);
	assert_int_equal(change(9, TR_PEER_REMOVE, NULL, NULL), 0);
	assert_null(peer_of("wg0", 9));

	assert_int_equal(change(1, TR_PEER_KEEPALIVE, NULL, NULL), 0);
	char *text = netmap_persist();
	assert_non_null(strstr(text, "100.64.7.7/32"));
	assert_non_null(strstr(text, "      persistent_keepalive: 25s\n"));
	free(text);
	struct json_show *j;
	netmap_show(json_show_begin(&j));
	json_decref(json_show_end(j, NULL, 0));
	netmap_fini();
}

static void
survives_a_restart(void **state)
{
	begin(10);
	provide(PLAN("1 anna 0 100.64.0.1/32", "2 bert 0 100.64.0.2/32"));
	assert_int_equal(change(1, TR_PEER_PSK | TR_PEER_KEEPALIVE | TR_PEER_ENDPOINT, "fd00::/8", "100.64.0.1/32"), 0);
	assert_int_equal(change(2, TR_PEER_REMOVE, NULL, NULL), 0);
	assert_int_equal(change(3, 0, "100.64.0.3/32", NULL), 0);
	assert_int_equal(change(4, 0, "100.64.0.4/32", NULL), 0);
	assert_int_equal(change(4, TR_PEER_REMOVE, NULL, NULL), 0);
	assert_int_equal(netmap_option_set("wg0", "listen", "51821"), 0);
	assert_int_equal(netmap_option_set("wg0", "fwmark", "1"), 0);
	assert_int_equal(netmap_option_set("wg0", "fwmark", NULL), 0);

	/* kill -9: the file as it stands, plus half a line that was never acknowledged. */
	char command[256];
	snprintf(command, sizeof(command), "cp %s/operator.jsonl %s/copy", dir, dir);
	assert_int_equal(system(command), 0);
	netmap_fini();
	snprintf(command, sizeof(command), "cd %s && mv copy operator.jsonl && printf '{\"interface\":\"wg' >> operator.jsonl", dir);
	assert_int_equal(system(command), 0);

	begin(10);
	assert_string_equal(why, "");
	provide(PLAN("1 anna 0 100.64.0.1/32", "2 bert 0 100.64.0.2/32"));
	assert_int_equal(peer_of("wg0", 1)->keepalive, 25);
	assert_int_equal(peer_of("wg0", 1)->preshared_key[0], 7);
	assert_int_equal(peer_of("wg0", 1)->endpoint.remote_port, 51820);
	assert_int_equal(who("wg0", "fd00::1"), peer_of("wg0", 1)->id);
	assert_int_equal(who("wg0", "100.64.0.1"), 0);
	assert_null(peer_of("wg0", 2));
	assert_int_equal(who("wg0", "100.64.0.3"), peer_of("wg0", 3)->id);
	assert_null(peer_of("wg0", 4));
	assert_string_equal(netmap_option("wg0", "listen"), "51821");
	assert_null(netmap_option("wg0", "fwmark"));

	struct stat st;
	char path[128];
	snprintf(path, sizeof(path), "%s/operator.jsonl", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	netmap_fini();
}

static void
sets_damaged_files_aside(void **state)
{
	char command[256], path[128];
	struct stat st;

	snprintf(command, sizeof(command), "cd %s && head -c 3000 /dev/urandom > operator.jsonl && cp operator.jsonl paths.bin", dir);
	assert_int_equal(system(command), 0);
	begin(10);
	assert_non_null(strstr(why, "operator.jsonl.bad"));
	assert_non_null(strstr(why, "paths.bin.bad"));
	snprintf(path, sizeof(path), "%s/operator.jsonl.bad", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(change(3, 0, "100.64.0.3/32", NULL), 0);
	netmap_fini();

	snprintf(command, sizeof(command), "cd %s && echo '{\"interface\":5}' >> operator.jsonl", dir);
	assert_int_equal(system(command), 0);
	begin(10);
	assert_non_null(strstr(why, "line 3 is damaged"));
	provide(PLAN("1 anna 0 100.64.0.1/32"));
	assert_int_equal(who("wg0", "100.64.0.3"), peer_of("wg0", 3)->id); /* what stood before it */
	netmap_fini();
}

/* A full disk, by the size limit of files. */
static void
refuses_what_it_cannot_keep(void **state)
{
	struct rlimit old, small;

	signal(SIGXFSZ, SIG_IGN);
	begin(100);
	provide(PLAN("1 anna 0 100.64.0.1/32"));
	assert_int_equal(change(3, 0, "100.64.0.3/32", NULL), 0);
	getrlimit(RLIMIT_FSIZE, &old);
	small = old;
	small.rlim_cur = 200;
	setrlimit(RLIMIT_FSIZE, &small);
	events[0] = '\0';
	assert_int_equal(change(4, 0, "100.64.0.4/32", NULL), -EFBIG);
	assert_int_equal(change(1, TR_PEER_KEEPALIVE, NULL, NULL), -EFBIG);
	assert_int_equal(netmap_option_set("wg0", "listen", "1"), -EFBIG);
	expect_events("");
	assert_null(peer_of("wg0", 4));
	assert_int_equal(peer_of("wg0", 1)->keepalive, 0);
	assert_non_null(netmap_problem());
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(change(5, 0, "100.64.0.5/32", NULL), 0);
	assert_null(netmap_problem());
	netmap_fini();
	begin(100);
	assert_string_equal(why, "");
	provide(PLAN("1 anna 0 100.64.0.1/32"));
	assert_non_null(peer_of("wg0", 3));
	assert_null(peer_of("wg0", 4));
	assert_non_null(peer_of("wg0", 5));
	netmap_fini();
}

/* ---- Paths ---- */

static uint64_t
wall(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void
one_process_has_the_directory(void **state)
{
	begin(1000);
	int other = open(dir, O_RDONLY | O_DIRECTORY);
	assert_true(other >= 0);
	assert_int_equal(flock(other, LOCK_EX | LOCK_NB), -1);
	netmap_fini();
	assert_int_equal(flock(other, LOCK_EX | LOCK_NB), 0);
	assert_int_equal(netmap_init(1000, dir, why, sizeof(why)), -EIO);
	assert_non_null(strstr(why, " is in use: another tailraced runs with it"));
	close(other);
	begin(1000);
	netmap_fini();
}

static void
remembers_paths(void **state)
{
	struct tr_endpoint e = {.family = 6, .remote_port = 4711, .remote = {0x20, 1}, .mtu = 1400}, out;
	uint64_t now = wall(), session;

	begin(1000);
	provide(PLAN("1 anna 0", "2 bert 0", "3 carl 0", "4 dora 0"));
	for (uint32_t n = 1; n <= 3; n++) {
		path_set(n, &e);
		path_session(n, n == 3 ? now - 200000000000 : now - n * 1000000000u, 1);
	}
	assert_int_equal(netmap_save(), 0);
	netmap_fini();

	begin(1000);
	assert_string_equal(why, "");
	provide(PLAN("4 dora 0", "3 carl 0", "2 bert 0", "1 anna 0"));
	expect_events("+1 +2 +3 +4 ");
	path_read(2, &out, &session);
	assert_memory_equal(&out, &e, sizeof(e));
	assert_int_equal(session, now - 200000000000);
	assert_false(path_begun(2)); /* it was another process's */
	path_session(2, session, 1);
	assert_true(path_begun(2));
	assert_false(path_begun(3));
	assert_int_equal(netmap_last_session(), now - 1000000000u);
	path_read(1, &out, &session);
	assert_int_equal(out.family, 0);
	netmap_resume(netmap_table("wg0"), now);
	expect_events("!4 !3 "); /* newest first; carl's is too old */

	/* Setting the endpoint undoes roaming; other changes don't. */
	assert_int_equal(change(1, TR_PEER_KEEPALIVE, NULL, NULL), 0);
	path_adopt(4, 1);
	path_read(4, &out, NULL);
	assert_int_equal(out.family, 6);
	for (int i = 0; i < 2; i++) {
		path_set(4, &e);
		assert_int_equal(change(1, TR_PEER_ENDPOINT, NULL, NULL), 0);
		path_adopt(4, 1);
		path_read(4, &out, NULL);
		assert_int_equal(out.family, 4);
	}
	netmap_fini();
}

/* A relay beside the direct path: what the fast path is told, and what is saved. */
static void
weighs_paths(void **state)
{
	const uint64_t second = 1000000000;
	struct tr_endpoint direct = {.family = 4, .remote = {192, 0, 2, 9}, .remote_port = 4711}, out, relay;
	const uint32_t id = 1;
	struct tr_path list[TR_PATHS];
	uint64_t now = 500 * second;
	bool alone;

	begin(10);
	provide(PLAN("1 anna 0"));
	const struct tr_peer *anna = netmap_peer(netmap_table("wg0"), 1);
	path_heard(1, &direct, now);
	path_get(&id, 1, now + 100 * second, &out);
	assert_memory_equal(&out, &direct, sizeof(out)); /* alone: used whatever happens */
	assert_false(path_relay(1, now, &relay, &alone));
	assert_int_equal(path_list(1, now, list, TR_PATHS), 1);

	path_tell(1, &(struct tr_path){.endpoint = tr_endpoint_derp(4, anna->public_key)}, now);
	path_get(&id, 1, now, &out);
	assert_int_equal(out.flags, TR_ENDPOINT_TWICE | TR_ENDPOINT_ASK);
	assert_true(path_relay(1, now, &relay, &alone));
	assert_false(alone);
	assert_int_equal(relay.gate, TR_KIND_DERP);
	assert_int_equal(relay.remote_port, 4);
	path_heard(1, &direct, now);
	path_get(&id, 1, now + second / 10, &out);
	assert_int_equal(out.flags, 0);
	path_get(&id, 1, now + 2 * second, &out);
	assert_int_equal(out.flags, TR_ENDPOINT_ASK);
	path_get(&id, 1, now + 12 * second, &out);
	assert_int_equal(out.flags, TR_ENDPOINT_TWICE | TR_ENDPOINT_ASK);
	path_read(1, &out, NULL);
	assert_memory_equal(&out, &direct, sizeof(out)); /* no flags are kept */
	assert_int_equal(path_list(1, now, list, TR_PATHS), 2);
	assert_int_equal(list[0].use, TR_PATH_IN_USE);
	assert_int_equal(list[0].why, TR_PATH_LAST_HEARD);

	path_tell(1, &(struct tr_path){.endpoint = direct, .state = TR_PATH_GONE}, now);
	path_get(&id, 1, now, &out);
	assert_memory_equal(&out, &relay, sizeof(out));
	path_session(1, wall(), now);
	assert_int_equal(netmap_save(), 0);
	netmap_fini();
	begin(10);
	provide(PLAN("1 anna 0"));
	path_read(1, &out, &now);
	assert_int_equal(out.family, 0); /* a relay is not saved, the session is */
	assert_int_not_equal(now, 0);
	netmap_fini();
}

static atomic_bool stop;
static atomic_uint torn, seen;

static void *
path_reader(void *arg)
{
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		struct tr_endpoint e;
		uint64_t session;
		path_read(1, &e, &session);
		for (int i = 1; i < 16; i++) {
			if (e.remote[i] != e.remote[0] || e.local[i] != e.remote[0])
				atomic_fetch_add(&torn, 1);
		}
		atomic_fetch_add(&seen, 1);
	}
	return NULL;
}

static void
reads_paths_whole(void **state)
{
	pthread_t t;

	begin(10);
	provide(PLAN("1 anna 0"));
	assert_int_equal(pthread_create(&t, NULL, path_reader, NULL), 0);
	for (unsigned i = 0; i < 300000 || (atomic_load(&seen) < 1000 && i < 100000000); i++) {
		struct tr_endpoint e = {.family = 4};
		memset(e.remote, (int)(i & 0xff), 16);
		memset(e.local, (int)(i & 0xff), 16);
		path_set(1, &e);
	}
	atomic_store(&stop, true);
	pthread_join(t, NULL);
	assert_int_equal(atomic_load(&torn), 0);
	netmap_fini();
}

/* ---- Readers beside the writer ---- */

static void *
map_reader(void *arg)
{
	int id = rcu_register();
	const struct netmap_table *t = arg;

	rcu_online(id);
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		for (uint32_t n = 1; n < 8; n++) {
			struct tr_key k = key(n);
			const struct tr_peer *p = netmap_peer(t, netmap_by_key(t, k.b));
			if (p && (memcmp(p->public_key, k.b, 32) || (p->name && strlen(p->name) > 31)))
				atomic_fetch_add(&torn, 1);
			struct tr_name name;
			if (find_name("p1.mesh.example", &name) == TR_NAME_FOUND && name.n && name.addr[0].family != 4)
				atomic_fetch_add(&torn, 1);
			struct tr_addr a = addr("100.64.0.1");
			const char *fqdn;
			size_t len;
			if (netmap_reverse(&a, &fqdn, &len) == TR_NAME_FOUND && fqdn[0] != 'p')
				atomic_fetch_add(&torn, 1);
		}
		atomic_fetch_add(&seen, 1);
		rcu_quiescent(id);
	}
	rcu_offline(id);
	rcu_unregister(id);
	return NULL;
}

static void
changes_under_readers(void **state)
{
	pthread_t t;
	atomic_store(&stop, false);
	atomic_store(&seen, 0);

	begin(64);
	assert_int_equal(pthread_create(&t, NULL, map_reader, netmap_table("wg0")), 0);
	for (unsigned i = 0; i < 500 || (atomic_load(&seen) < 100 && i < 100000); i++) {
		switch (i % 4) {
		case 0:
			provide(PLAN("1 p1 0 100.64.0.1/32", "2 p2 0 100.64.0.2/32", "3 p3 0 10.0.0.0/8"));
			break;
		case 1:
			provide(PLAN("3 p3 0", "1 q1 0", "2 p1 0 100.64.0.1/32 10.0.0.0/8"));
			break;
		case 2:
			provide(PLAN("4 p1 0 100.64.0.1/32"));
			break;
		default:
			change(1 + i % 7, i % 3 ? TR_PEER_KEEPALIVE : TR_PEER_REMOVE, i % 3 ? "10.0.0.0/8" : NULL, NULL);
		}
		events[0] = '\0';
		rcu_poll();
	}
	atomic_store(&stop, true);
	pthread_join(t, NULL);
	assert_int_equal(atomic_load(&torn), 0);
	netmap_fini();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(publishes_only_changes),
		cmocka_unit_test(settles_conflicts),
		cmocka_unit_test(ids_come_back_after_release_and_grace),
		cmocka_unit_test(answers_names),
		cmocka_unit_test(lays_the_operator_above),
		cmocka_unit_test_setup_teardown(survives_a_restart, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(sets_damaged_files_aside, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(refuses_what_it_cannot_keep, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(one_process_has_the_directory, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(remembers_paths, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(weighs_paths, make_dir, remove_dir),
		cmocka_unit_test(reads_paths_whole),
		cmocka_unit_test(changes_under_readers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
