/* SPDX-License-Identifier: BSD-3-Clause */
/* One line of the UAPI, `key=value`, as data. No state, no host: what the fuzzer works on. */
#pragma once

#include <tailrace/packet.h>

#define UAPI_LINE_MAX 256 /* the longest line that means anything has 85 bytes */

enum uapi_key {
	UAPI_PRIVATE_KEY,
	UAPI_LISTEN_PORT,
	UAPI_FWMARK,
	UAPI_REPLACE_PEERS,
	UAPI_PUBLIC_KEY,
	UAPI_REMOVE,
	UAPI_UPDATE_ONLY,
	UAPI_PRESHARED_KEY,
	UAPI_ENDPOINT,
	UAPI_KEEPALIVE,
	UAPI_REPLACE_ALLOWED_IPS,
	UAPI_ALLOWED_IP,
	UAPI_PROTOCOL_VERSION,
};

struct uapi_line {
	enum uapi_key key;
	bool minus; /* allowed_ip: take it away */
	union {
		uint8_t secret[32];
		uint32_t number;
		struct tr_endpoint endpoint;
		struct tr_prefix prefix;
	};
};

/* False: an unknown key or a wrong value. The caller wipes `out` when it may hold a secret. */
bool uapi_parse(const char *text, size_t len, struct uapi_line *out);
