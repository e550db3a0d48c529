/* SPDX-License-Identifier: BSD-3-Clause */
/* DERP's frames: type, length (big-endian, of the body), body. No state, no I/O. */
#pragma once

#include <tailrace/reader.h>

#define FRAME_MAGIC "DERP\xf0\x9f\x94\x91"
#define FRAME_HEADER 5
#define FRAME_KEY 32
#define FRAME_PACKET_MAX 65536
#define FRAME_BODY_MAX (2 * FRAME_KEY + FRAME_PACKET_MAX) /* of what a server acts on after the handshake */
#define FRAME_HELLO_MAX 16384 /* far above any ClientInfo: what a stranger may make the relay keep */
#define FRAME_VERSION 2

enum frame_type {
	FRAME_SERVER_KEY = 0x01,
	FRAME_CLIENT_INFO = 0x02,
	FRAME_SERVER_INFO = 0x03,
	FRAME_SEND = 0x04,
	FRAME_RECV = 0x05,
	FRAME_KEEP_ALIVE = 0x06,
	FRAME_NOTE_PREFERRED = 0x07,
	FRAME_PEER_GONE = 0x08,
	FRAME_PEER_PRESENT = 0x09,
	FRAME_FORWARD = 0x0a,
	FRAME_WATCH = 0x10,
	FRAME_CLOSE_PEER = 0x11,
	FRAME_PING = 0x12,
	FRAME_PONG = 0x13,
	FRAME_HEALTH = 0x14,
	FRAME_RESTARTING = 0x15,
};

enum frame_gone { FRAME_GONE_DISCONNECTED, FRAME_GONE_NOT_HERE };

enum frame_present { /* flags of PeerPresent */
	FRAME_PRESENT_REGULAR = 1,
	FRAME_PRESENT_MESH = 2,
	FRAME_PRESENT_PROBER = 4,
	FRAME_PRESENT_NOT_IDEAL = 8,
};

enum frame_reader { /* who reads */
	FRAME_HELLO, /* a server that waits for ClientInfo */
	FRAME_SERVER,
	FRAME_CLIENT,
};

enum frame_status {
	FRAME_GOOD,
	FRAME_MORE, /* not all of it is there; nothing was taken */
	FRAME_SKIP, /* not for this reader: the header was taken, the caller skips `len` bytes */
	FRAME_BAD,  /* a size, or a type, that ends the connection */
};

struct frame {
	uint8_t type;
	uint32_t len;
	const uint8_t *body; /* FRAME_GOOD: len bytes, in the reader's memory */
};

enum frame_status frame_read(struct frame *f, struct tr_reader *r, enum frame_reader who);

/* Writes a header, returns where the body begins. */
static inline uint8_t *
frame_header(uint8_t *p, enum frame_type type, uint32_t len)
{
	p[0] = (uint8_t)type;
	p[1] = (uint8_t)(len >> 24);
	p[2] = (uint8_t)(len >> 16);
	p[3] = (uint8_t)(len >> 8);
	p[4] = (uint8_t)len;
	return p + FRAME_HEADER;
}

/* Is a packet one of path discovery (disco)? */
static inline bool
frame_is_disco(const uint8_t *packet, size_t len)
{
	return len >= 62 && memcmp(packet, "TS\xf0\x9f\x92\xac", 6) == 0;
}
