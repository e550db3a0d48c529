/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * capture: packets at one gate, as progress lines until there are enough, the time is over or the client has gone. A client
 * that reads too slowly loses packets, which are counted; nothing else waits for it.
 */
#include "commands_private.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

#define POLL_MS 20
#define MAX_PACKETS 1000000
#define MAX_SECONDS 3600
#define LINE_PACKETS 64

struct capture_request {
	struct commands *c;
	struct request *r;
	struct loop_watch *timer;
	enum tr_gate_type type;
	unsigned wanted, seen;
	uint64_t until; /* ns */
	json_t *line;   /* being filled */
};

static void
finish(struct capture_request *q)
{
	uint64_t lost = engine_capture_lost(q->c->on.engine);
	engine_capture_stop(q->c->on.engine);
	management_reply(q->r, json_pack("{s:i, s:I}", "packets", (int)q->seen, "lost", (json_int_t)lost));
	loop_watch_close(q->timer);
	q->c->capturing = NULL;
	free(q);
}

static void
add_packet(void *arg, const struct captured *p)
{
	struct capture_request *q = arg;
	char text[sodium_base64_ENCODED_LEN(CAPTURE_BYTES, sodium_base64_VARIANT_ORIGINAL)], remote[46], local[46];
	sodium_bin2base64(text, sizeof(text), p->data, p->captured, sodium_base64_VARIANT_ORIGINAL);
	json_t *o = json_pack("{s:I, s:I, s:s}", "at_ns", (json_int_t)p->at, "length", (json_int_t)p->len, "data", text);
	if (q->type == TR_TYPE_ENDPOINT && p->endpoint.family && !p->endpoint.gate) {
		struct tr_addr a = {.family = p->endpoint.family}, b = a;
		memcpy(a.ip, p->endpoint.remote, sizeof(a.ip));
		memcpy(b.ip, p->endpoint.local, sizeof(b.ip));
		format_addr(&a, remote);
		format_addr(&b, local);
		json_object_set_new(o, "to", json_pack("{s:s, s:i, s:s, s:i}", "remote", remote, "remote_port",
						     p->endpoint.remote_port, "local", local, "local_port", p->endpoint.local_port));
	}
	json_array_append_new(q->line, o);
	q->seen++;
}

static void
poll_capture(void *arg)
{
	struct capture_request *q = arg;
	unsigned left = q->wanted - q->seen;
	if (!management_waiting(q->r)) {
		q->line = json_array();
		engine_capture_take(q->c->on.engine, add_packet, q, left < LINE_PACKETS ? left : LINE_PACKETS);
		if (json_array_size(q->line))
			management_progress(q->r, json_pack("{s:o}", "packets", q->line));
		else
			json_decref(q->line);
	}
	if (q->seen >= q->wanted || commands_now() >= q->until || management_gone(q->r))
		finish(q);
}

static const char *
why_not(int rc)
{
	switch (rc) {
	case -ENOENT:
		return "no such instance, or it has no such in gate (`tailrace plugins CLASS` lists them)";
	case -EINVAL:
		return "no valid filter, or one for a gate whose packets have no IP header yet";
	case -EBUSY:
		return "another capture is under way";
	default:
		return "no memory";
	}
}

/* capture N SECONDS INSTANCE[.GATE] [FILTER] */
void
command_capture(void *arg, struct request *r, int argc, char *const *argv)
{
	struct commands *c = arg;
	unsigned n, seconds;
	struct filter f = {0};
	if (argc < 3 || argc > 4 || !parse_number(argv[0], 1, MAX_PACKETS, &n) || !parse_number(argv[1], 1, MAX_SECONDS, &seconds)) {
		management_error(r, "capture takes 1 to %d packets and 1 to %d seconds", MAX_PACKETS, MAX_SECONDS);
		return;
	}
	if (argc == 4 && !filter_parse(argv[3], &f)) {
		management_error(r, "no filter: %.40s", argv[3]);
		return;
	}
	char *instance = strdup(argv[2]), *dot = instance ? strchr(instance, '.') : NULL;
	if (dot)
		*dot++ = 0;
	struct capture_request *q = calloc(1, sizeof(*q));
	struct loop_watch *w = q && instance ? loop_timer(c->on.loop, POLL_MS, POLL_MS, poll_capture, q) : NULL;
	enum tr_gate_type type = TR_TYPE_IP;
	int rc = w ? engine_capture_start(c->on.engine, instance, dot, f, &type) : -ENOMEM;
	free((void *)(uintptr_t)f.insn);
	free(instance);
	if (rc != 0) {
		management_error(r, "%s: %s", argv[2], why_not(rc));
		if (w)
			loop_watch_close(w);
		free(q);
		return;
	}
	*q = (struct capture_request){
		.c = c, .r = r, .timer = w, .type = type, .wanted = n, .until = commands_now() + seconds * 1000000000ull};
	c->capturing = q;
}

void
capture_command_free(struct commands *c)
{
	if (c->capturing)
		finish(c->capturing);
}
