/* SPDX-License-Identifier: BSD-3-Clause */
/* A class of one node whose process() each program of this folder writes, with a fault that a sanitizer must catch. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <tailrace/fakehost.h>

struct fault_self {
	const struct tr_host *host;
	uint64_t shared;
};

static tr_process fault_process;

static void *
fault_create(struct tr_instance *instance, const struct tr_host *host, const void *options)
{
	struct fault_self *self = calloc(1, sizeof(*self));

	if (self)
		self->host = host;
	return self;
}

static const struct tr_in_gate fault_in[] = {{.name = "in", .type = TR_TYPE_IP, .process = fault_process}, {.name = NULL}};
static const struct tr_out_gate fault_out[] = {{.name = "out", .type = TR_TYPE_IP}, {.name = NULL}};
static const struct tr_drop_reason fault_drops[] = {{"refused", "Given up."}, {.name = NULL}};
static const struct tr_class fault_class = {.name = "fault", .in = fault_in, .out = fault_out, .drops = fault_drops,
	.create = fault_create, .destroy = free};
static const struct tr_class *const fault_classes[] = {&fault_class, NULL};
static const struct tr_plugin fault_plugin = {.name = "fault", .classes = fault_classes};

static inline struct fh *
fault_host(void)
{
	return fh_new(&(struct fh_config){.plugin = &fault_plugin});
}
