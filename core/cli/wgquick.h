/* SPDX-License-Identifier: BSD-3-Clause */
/* wg-quick's configuration file, read into lists. */
#pragma once

#include "config/config.h"

struct wgquick_peer {
	const char *name; /* from the comment before the section, or peerN */
	const char *public_key, *endpoint, *keepalive;
	uint8_t preshared_key[32];
	bool has_preshared_key;
	const char **allowed;
	unsigned n_allowed;
	unsigned line;
};

struct wgquick {
	uint8_t private_key[32];
	bool has_private_key;
	const char *listen, *mtu, *fwmark;
	const char *address[16];
	unsigned n_address;
	struct wgquick_peer *peer;
	unsigned n_peers;
};

/* Mistakes and what is left out go to `d`; false when there are errors. Wipe with wgquick_wipe(). */
bool wgquick_read(struct arena *a, const char *path, struct wgquick *out, struct diags *d);
void wgquick_wipe(struct wgquick *w);
