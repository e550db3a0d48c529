/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * UPnP-IGD: one exchange with a router, in which everything is looked up, mapped, renewed and given up that is due. It is
 * made of HTTP over the kernel's TCP, and the library blocks: it runs on a thread of its own, which touches nothing but its
 * copy of what is wished.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <tailrace/types.h>

#define UPNP_PORTS 16
#define UPNP_URL 256

enum upnp_wish { UPNP_LOOK /* is it there still? else it is asked for */, UPNP_MAP, UPNP_GIVE_UP };

struct upnp_port {
	uint16_t port, external_port; /* external: of before, 0: none; then what the router gave */
	uint8_t wish;
	bool lost;       /* of UPNP_LOOK: it was not there */
	int result;      /* 0; else an error of UPnP, or of the library (negative) */
	uint32_t lifetime; /* s; then what was granted */
};

enum upnp_status {
	UPNP_OK,
	UPNP_NO_WAY,  /* the kernel has no route to the router */
	UPNP_NOBODY,  /* nothing there that speaks UPnP */
};

struct upnp_exchange {
	struct tr_addr router, client; /* client: whose ports are mapped; family 0: the kernel's address */
	char location[UPNP_URL];       /* of the description, from the exchange before; empty: to be looked for */
	unsigned n;
	struct upnp_port port[UPNP_PORTS];
	/* the outcome */
	enum upnp_status status;
	struct tr_addr external;
	/* the thread's and the caller's */
	atomic_bool done;
	atomic_uint refs;
};

/* Begins an exchange like `like`. NULL: no memory, or no thread. What it comes to is to be read once `done` is set. */
struct upnp_exchange *upnp_begin(const struct upnp_exchange *like);
void upnp_end(struct upnp_exchange *e); /* it is freed when the thread has let go of it, too */
