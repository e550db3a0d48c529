/* SPDX-License-Identifier: BSD-3-Clause */
#include "session.h"

#include "box_port.h"
#include "netmap/store.h"
#include "peer.h"

#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

struct tr_addr
session_inside(uint32_t peer)
{
	peer += 2;
	return (struct tr_addr){.family = 4, .ip = {100, (uint8_t)(64 + (peer >> 16)), (uint8_t)(peer >> 8), (uint8_t)peer}};
}

static const char *
base64(const uint8_t key[32])
{
	static char text[sodium_base64_ENCODED_LEN(32, sodium_base64_VARIANT_ORIGINAL)];

	return sodium_bin2base64(text, sizeof(text), key, 32, sodium_base64_VARIANT_ORIGINAL);
}

struct session *
session_new(uint32_t n)
{
	struct session *s = calloc(n, sizeof(*s));

	if (!s)
		give_up("out of memory");
	for (uint32_t i = 0; i < n; i++)
		randombytes_buf(&s[i], offsetof(struct session, theirs));
	return s;
}

void
session_key_file(char *path)
{
	uint8_t secret[32];
	int fd = mkstemp(path);

	randombytes_buf(secret, sizeof(secret));
	if (fd < 0 || dprintf(fd, "%s\n", base64(secret)) < 0 || close(fd) != 0)
		give_up("cannot write a key file");
}

void
session_list(FILE *f, const struct session *s, uint32_t n)
{
	fputs("  peers:\n", f);
	for (uint32_t i = 0; i < n; i++) {
		const struct tr_addr a = session_inside(i);
		fprintf(f, "    p%u: {public_key: %s, allowed_ips: [%u.%u.%u.%u/32]}\n", i, base64(s[i].public_key), a.ip[0], a.ip[1],
			a.ip[2], a.ip[3]);
	}
}

/* What a handshake would have left, but for the time limits: no figure is disturbed by a new one, nor by timers. */
void
session_open(struct session *s, uint32_t peer, const struct tr_endpoint *e)
{
	const uint32_t id = box_peer("wg0", s->public_key);
	struct hot *h = box_block("wg0", "hot", id);
	struct pair *p = &((struct pairs *)box_block("wg0", "pairs", id))->slot[0];

	path_set(id, e);
	s->theirs = box_index("wg0", id);
	h->send = (struct sending){.rekey_at = UINT64_MAX, .reject_at = UINT64_MAX, .remote = peer + 1};
	memcpy(h->send.key, s->seals, 32);
	h->t = (struct traffic){.index = {s->theirs}, .current = 1, .wake = 1};
	*p = (struct pair){.reject_at = UINT64_MAX, .last_minute_at = UINT64_MAX};
	memcpy(p->key, s->opens, 32);
}
