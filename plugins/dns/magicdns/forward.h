/* SPDX-License-Identifier: BSD-3-Clause */
/* The node on the service loop: questions that aren't ours, answered from the cache or by an upstream. */
#pragma once

#include "magicdns.h"

struct tr_show;

struct forward *forward_new(struct magicdns *d); /* control; NULL: out of memory */
void forward_free(struct forward *f);            /* control, after forward_fini() */
tr_process forward_process;
void forward_fini(struct tr_node *node); /* service loop: gives up what is outstanding */
void forward_changed(struct forward *f); /* control: other upstreams than before */
/* Control: what `status` says of the upstreams. */
void forward_status(struct forward *f, struct tr_show *out);
void forward_show(struct forward *f, struct tr_show *out);
