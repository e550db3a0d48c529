/* SPDX-License-Identifier: BSD-3-Clause */
#include "frame.h"

#define CLIENT_MAX (1u << 20)

struct bounds {
	bool known;
	uint32_t min, max;
};

static struct bounds
from_client(uint8_t type)
{
	switch (type) {
	case FRAME_SEND:
		return (struct bounds){true, FRAME_KEY, FRAME_KEY + FRAME_PACKET_MAX};
	case FRAME_FORWARD:
		return (struct bounds){true, 2 * FRAME_KEY, FRAME_BODY_MAX};
	case FRAME_NOTE_PREFERRED:
		return (struct bounds){true, 1, 1};
	case FRAME_WATCH:
		return (struct bounds){true, 0, 0};
	case FRAME_CLOSE_PEER:
		return (struct bounds){true, FRAME_KEY, FRAME_KEY};
	case FRAME_PING:
		return (struct bounds){true, 8, 1000};
	default:
		return (struct bounds){false, 0, UINT32_MAX};
	}
}

/* What a server sends is bounded as a whole; what is too short for its type is skipped. */
static struct bounds
from_server(uint8_t type)
{
	switch (type) {
	case FRAME_SERVER_KEY:
		return (struct bounds){true, 8 + FRAME_KEY, CLIENT_MAX};
	case FRAME_SERVER_INFO:
	case FRAME_HEALTH:
	case FRAME_KEEP_ALIVE:
		return (struct bounds){true, 0, CLIENT_MAX};
	case FRAME_RECV:
	case FRAME_PEER_GONE:
	case FRAME_PEER_PRESENT:
		return (struct bounds){true, FRAME_KEY, CLIENT_MAX};
	case FRAME_PING:
	case FRAME_PONG:
	case FRAME_RESTARTING:
		return (struct bounds){true, 8, CLIENT_MAX};
	default:
		return (struct bounds){false, 0, CLIENT_MAX};
	}
}

static enum frame_status
judge(const struct frame *f, enum frame_reader who)
{
	struct bounds b;
	switch (who) {
	case FRAME_HELLO:
		return f->type == FRAME_CLIENT_INFO && f->len >= 56 && f->len <= FRAME_HELLO_MAX ? FRAME_GOOD : FRAME_BAD;
	case FRAME_SERVER:
		b = from_client(f->type);
		if (!b.known)
			return FRAME_SKIP;
		return f->len >= b.min && f->len <= b.max ? FRAME_GOOD : FRAME_BAD;
	case FRAME_CLIENT:
		b = from_server(f->type);
		if (f->len > b.max)
			return FRAME_BAD;
		return b.known && f->len >= b.min ? FRAME_GOOD : FRAME_SKIP;
	}
	return FRAME_BAD;
}

enum frame_status
frame_read(struct frame *f, struct tr_reader *r, enum frame_reader who)
{
	struct tr_reader at = *r;
	f->type = tr_u8(&at);
	f->len = tr_be32(&at);
	f->body = NULL;
	if (at.bad)
		return FRAME_MORE;
	enum frame_status status = judge(f, who);
	if (status == FRAME_GOOD) {
		f->body = tr_take(&at, f->len);
		if (at.bad)
			return FRAME_MORE;
	}
	if (status != FRAME_BAD)
		*r = at;
	return status;
}
