/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * capture: a pcapng file of what enters a gate (Section Header, Interface Description and Enhanced Packet blocks, as the
 * PCAP Next Generation draft has them), in raw IP. Where the graph has only a payload and the endpoint it goes to, the IP
 * and UDP headers that `path` will write are put before it, so that dissectors know what they see.
 */
#include "client.h"
#include "commands.h"
#include "filter.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PACKET_MAX 2048
#define LINKTYPE_RAW 101

struct capture {
	FILE *out;
	bool bad; /* could not be written */
};

/* Blocks are of 32-bit words and have their length at both ends. */
static void
put_block(struct capture *c, uint32_t type, const void *body, uint32_t len)
{
	static const uint8_t pad[4];
	uint32_t padded = (len + 3) & ~3u, total = padded + 12;
	bool ok = fwrite(&type, 4, 1, c->out) == 1 && fwrite(&total, 4, 1, c->out) == 1 && fwrite(body, 1, len, c->out) == len &&
		fwrite(pad, 1, padded - len, c->out) == padded - len && fwrite(&total, 4, 1, c->out) == 1;
	c->bad = c->bad || !ok;
}

/* An option: code, length, value, padding. Returns what follows it. */
static uint8_t *
put_option(uint8_t *p, uint16_t code, const void *value, uint16_t len)
{
	memcpy(p, &code, 2);
	memcpy(p + 2, &len, 2);
	memset(p + 4, 0, (len + 3u) & ~3u);
	memcpy(p + 4, value, len);
	return p + 4 + ((len + 3u) & ~3u);
}

static void
put_header(struct capture *c, const char *gate)
{
	uint8_t section[128] = {0}, interface[256] = {0};
	const uint32_t magic = 0x1a2b3c4d;
	const uint16_t major = 1, link = LINKTYPE_RAW;
	const uint8_t nanoseconds = 9;
	memcpy(section, &magic, 4);
	memcpy(section + 4, &major, 2);
	memset(section + 8, 0xff, 8); /* length of the section: not known */
	uint8_t *end = put_option(section + 16, 4, "tailrace " TR_VERSION, sizeof("tailrace " TR_VERSION) - 1);
	put_block(c, 0x0a0d0d0a, section, (uint32_t)(end + 4 - section));
	memcpy(interface, &link, 2);
	end = put_option(interface + 8, 2, gate, (uint16_t)strnlen(gate, 64));
	end = put_option(end, 9, &nanoseconds, 1);
	put_block(c, 1, interface, (uint32_t)(end + 4 - interface));
}

/* ---- Packets ---- */

static void
put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* IP and UDP headers for a payload of `len` bytes; their length, 0 when the endpoint is of no use. */
static size_t
outer(const json_t *to, size_t len, uint8_t h[48])
{
	const char *remote = get_text(to, "remote"), *local = get_text(to, "local");
	size_t ip = strchr(remote, ':') ? 40 : 20;
	memset(h, 0, 48);
	if (ip == 40) {
		h[0] = 0x60;
		put16(h + 4, len + 8);
		h[6] = 17;
		h[7] = 64;
		if (inet_pton(AF_INET6, local, h + 8) != 1 || inet_pton(AF_INET6, remote, h + 24) != 1)
			return 0;
	} else {
		h[0] = 0x45;
		put16(h + 2, len + 28);
		h[8] = 64;
		h[9] = 17;
		if (inet_pton(AF_INET, local, h + 12) != 1 || inet_pton(AF_INET, remote, h + 16) != 1)
			return 0;
	}
	put16(h + ip, (size_t)get_number(to, "local_port"));
	put16(h + ip + 2, (size_t)get_number(to, "remote_port"));
	put16(h + ip + 4, len + 8);
	return ip + 8;
}

static void
put_packet(struct capture *c, const json_t *p)
{
	uint8_t b[20 + 48 + PACKET_MAX] = {0};
	const char *data = get_text(p, "data");
	const json_t *to = json_object_get(p, "to");
	uint64_t at = (uint64_t)json_integer_value(json_object_get(p, "at_ns"));
	uint32_t len = (uint32_t)get_number(p, "length"), high = (uint32_t)(at >> 32), low = (uint32_t)at;
	size_t head = json_is_object(to) ? outer(to, len, b + 20) : 0, n;
	if (sodium_base642bin(b + 20 + head, PACKET_MAX, data, strlen(data), NULL, &n, NULL, sodium_base64_VARIANT_ORIGINAL) != 0) {
		c->bad = true;
		return;
	}
	uint32_t captured = (uint32_t)(head + n), original = (uint32_t)(head + len);
	memcpy(b + 4, &high, 4);
	memcpy(b + 8, &low, 4);
	memcpy(b + 12, &captured, 4);
	memcpy(b + 16, &original, 4);
	put_block(c, 6, b, 20 + captured);
}

static void
on_progress(void *arg, json_t *progress)
{
	struct capture *c = arg;
	size_t i;
	json_t *p;
	json_array_foreach(json_object_get(progress, "packets"), i, p) put_packet(c, p);
	if (fflush(c->out) != 0)
		c->bad = true;
}

/* ---- The command ---- */

static int
capture(const struct cli *c, struct capture *out, char *filter)
{
	const char *n = c->option[0] ? c->option[0] : "1000", *wait = c->option[1] ? c->option[1] : "10";
	char *args[] = {(char *)(uintptr_t)n, (char *)(uintptr_t)wait, c->argv[0], filter};
	struct client_call call = {.command = "capture", .argc = filter ? 4 : 3, .argv = args, .progress = on_progress, .arg = out,
		.patience = (unsigned)atoi(wait) + 15};
	put_header(out, c->argv[0]);
	json_t *v = client_call(c, &call);
	if (!v)
		return call.exit;
	if (c->json && out->out != stdout)
		cli_print_json(json_incref(v));
	else
		fprintf(stderr, "%.0f packets, %.0f lost\n", get_number(v, "packets"), get_number(v, "lost"));
	json_decref(v);
	return CLI_OK;
}

static int
run(const struct cli *c)
{
	const char *path = c->option[3];
	bool to_stdout = !path || strcmp(path, "-") == 0;
	if (to_stdout && isatty(STDOUT_FILENO)) {
		cli_error("a capture is no text: write it with -o FILE, or into a pipe (`tailrace capture wan.ip | tcpdump -r -`)");
		return CLI_USAGE;
	}
	char *filter = c->option[2] ? filter_compile(c->option[2]) : NULL;
	if (c->option[2] && !filter)
		return CLI_USAGE;
	struct capture out = {.out = to_stdout ? stdout : fopen(path, "we")};
	if (!out.out) {
		cli_error("%s: %s", path, strerror(errno));
		free(filter);
		return CLI_FAILED;
	}
	int rc = capture(c, &out, filter);
	if (!to_stdout && fclose(out.out) != 0)
		out.bad = true;
	if (rc == CLI_OK && out.bad) {
		cli_error("%s: can't be written", to_stdout ? "(stdout)" : path);
		rc = CLI_FAILED;
	}
	free(filter);
	return rc;
}

static const struct cli_option options[] = {
	{'n', "packets", "N", "stop after so many (1000, at most 1000000)"},
	{'w', "wait", "S", "stop after so many seconds (10, at most 3600)"},
	{'m', "match", "FILTER", "only packets that match, in the language of pcap-filter(7)"},
	{'o', "output", "FILE", "write there (default: to a pipe)"},
	{0, NULL, NULL, NULL},
};

const struct cli_command cli_capture = {
	.name = "capture",
	.args = "[-n N] [-w S] [-m FILTER] [-o FILE] INSTANCE[.GATE]",
	.min_args = 1,
	.max_args = 1,
	.word = CLI_WORD_INSTANCE,
	.doc = "copy the packets that enter a gate into a pcapng file",
	.more = "Without GATE it is the instance's first in gate. Packets go on as they do without; what the copy can't keep up "
		"with is\n"
		"counted as lost. At most 1600 bytes of a packet are kept.",
	.options = options,
	.run = run,
};
