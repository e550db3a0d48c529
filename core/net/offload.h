/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a NIC would do for the kernel, done here: large TCP packets are cut into segments, checksums that were left out
 * are put in; and the other way round, segments that follow one another become one large packet. No state, any thread.
 */
#pragma once

#include <linux/virtio_net.h>
#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

/* ---- From the kernel ---- */

struct cut {
	uint8_t *p;            /* the whole packet; its headers are changed from segment to segment */
	uint32_t len, at, mss; /* at: of what is sent already, headers counted. mss 0: goes as it is */
	uint16_t l3_len, head; /* head: IP and TCP header */
};

/* A packet as the kernel gave it: p[0] is the IP header. false: makes no sense. */
bool cut_begin(struct cut *c, const struct virtio_net_hdr *h, uint8_t *p, uint32_t len);
/* Writes the next segment, complete, and returns its length; 0: none is left, or `room` is too small for it. */
uint32_t cut_next(struct cut *c, uint8_t *out, uint32_t room);

/* ---- To the kernel ---- */

#define JOIN_PARTS 64
#define JOIN_HEAD 120 /* IPv6 header, and a TCP header with options of all sorts */

/* TCP segments of one flow, one after the other. */
struct join {
	struct virtio_net_hdr vnet;
	uint8_t head[JOIN_HEAD];
	uint16_t head_len, l3_len;
	uint32_t len;  /* of the whole packet */
	uint32_t next; /* sequence number of what may follow */
	bool ended;    /* nothing may */
	uint16_t n;    /* parts, 0: empty */
	const uint8_t *payload[JOIN_PARTS];
	uint16_t size[JOIN_PARTS];
};

enum join_fate {
	JOIN_TAKEN, /* is part of it now; its memory must stay */
	JOIN_CANT,  /* can be part of none: if something is joined, it is of this flow and goes first */
	JOIN_OTHER, /* of another flow */
	JOIN_AFTER, /* of this flow, and does not fit here: it may begin another */
};

/* A whole IP packet. */
enum join_fate join_add(struct join *j, const uint8_t *p, uint32_t len);
/* What is to be written, the virtio header first. iov: JOIN_PARTS + 2. Returns how many are filled. */
int join_end(struct join *j, struct iovec *iov);
