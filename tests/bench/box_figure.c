/* SPDX-License-Identifier: BSD-3-Clause */
#include "box_figure.h"

#include <stdio.h>
#include <stdlib.h>

static struct rte_mbuf *figure_pkts[BOX_PACKETS];

static uint64_t
refused(const struct box_figure *f)
{
	uint32_t errors;
	const uint64_t clocks = box_refused(figure_pkts, f->in, f->fate == REFUSED, &errors);

	if (f->fate == REFUSED ? errors > BOX_PACKETS / 8 : errors != BOX_PACKETS) {
		fprintf(stderr, "%s: %u of %u answered\n", f->figure, errors, BOX_PACKETS);
		exit(1);
	}
	return clocks;
}

static uint64_t
gateway_run(void *arg, uint64_t ops)
{
	const struct box_figure *f = arg;
	uint64_t clocks = 0;

	for (; ops > 0; ops -= BOX_PACKETS) {
		f->prepare(f->arg, figure_pkts);
		clocks += f->fate == PASSED ? box_through(figure_pkts, f->in, f->out) : refused(f);
	}
	return clocks;
}

static uint64_t
ports_run(void *arg, uint64_t ops)
{
	const struct box_figure *f = arg;
	uint64_t clocks = 0;

	for (; ops > 0; ops -= BOX_PACKETS) {
		f->prepare(f->arg, figure_pkts);
		clocks += box_port_alone(figure_pkts, f->in);
	}
	return clocks;
}

void
box_above_ports(const struct box_figure *f)
{
	struct box_figure copy = *f;
	struct rte_mbuf **sent;

	if (!bench_wanted(f->figure))
		return;
	f->prepare(f->arg, figure_pkts);
	box_feed(f->in, figure_pkts, BOX_PACKETS);
	box_settle();
	uint32_t n = box_sent(f->out, &sent);
	box_release(sent, n);
	bench_pair(&(struct bench_pair){.figure = f->figure, .goal = f->goal, .step = BOX_PACKETS, .ours = {"gateway", gateway_run, &copy},
		.reference = {"ports alone", ports_run, &copy}});
}
