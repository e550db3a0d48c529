/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A `set=1` request, applied line by line to the operator's layer: what came before an error stays. Control thread.
 *
 * replace_peers removes, at the end, the peers that the request did not name, and those it names start from nothing
 * but their session and endpoint: `wg setconf` with the same file drops no session.
 */
#pragma once

#include "uapi_line.h"
#include "wireguard.h"

struct uapi_set;

struct uapi_set *uapi_set_new(struct wg *wg); /* NULL: out of memory */
/* After an error further lines are ignored. */
void uapi_set_line(struct uapi_set *s, const char *text, size_t len);
/* 0 or -errno. Frees the request. */
int uapi_set_finish(struct uapi_set *s);
void uapi_set_abort(struct uapi_set *s); /* the client went away: nothing further is applied */
