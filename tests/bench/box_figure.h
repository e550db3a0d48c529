/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "bench.h"
#include "box.h"

/* A figure: what BOX_PACKETS packets cost above the ports. prepare() makes them anew each time. */
struct box_figure {
	const char *figure, *goal;
	enum box_port in, out;
	void (*prepare)(const void *arg, struct rte_mbuf **pkts);
	const void *arg;
	enum box_fate { PASSED, ANSWERED, REFUSED } fate; /* not passed: an error tells each of them, or few */
};
void box_above_ports(const struct box_figure *f); /* neighbours are resolved before */
