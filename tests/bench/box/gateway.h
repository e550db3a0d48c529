/* SPDX-License-Identifier: BSD-3-Clause */
/* The gateway that `tailrace bench` measures, and its peers. */
#pragma once

#include "load.h"
#include "session.h"

extern struct session *sessions;
extern const struct tr_addr session_gateway, session_far;

/* A packet that the gateway sent is what this kind of load makes: an own engine opens what was sealed. */
bool session_proves(enum load_kind kind, struct rte_mbuf *m);
