/* SPDX-License-Identifier: BSD-3-Clause */
/* What is kept of the peers' paths for the next process. */
#pragma once

#include <tailrace/netmap.h>

bool path_file_init(char *why, size_t size); /* after nm.max_peers and nm.state_dir; reads what the run before has left */
void path_file_fini(void);                   /* saves once more */
void path_file_mark(uint32_t peer);          /* any thread: its record is to be written with the next save */
/* What the run before had of a peer; known until the first save. False: nothing. */
bool path_file_saved(const char *interface, const uint8_t key[32], struct tr_endpoint *e, uint64_t *session);
