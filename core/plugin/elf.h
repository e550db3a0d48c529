/* SPDX-License-Identifier: BSD-3-Clause */
/* What can be known of a shared object without running a line of it. Every read is bounded by the file's size. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct elf_file {
	const uint8_t *data;
	size_t size;
};

/* Is this a shared object for this machine? false: `why`. */
bool elf_check(const struct elf_file *f, char *why, size_t size);
/* Hex of .note.gnu.build-id. false: there is none. */
bool elf_build_id(const struct elf_file *f, char out[41]);
/* The bytes of a defined dynamic symbol, as they stand in the file (not relocated); NULL: no such symbol. */
const void *elf_symbol(const struct elf_file *f, const char *name, size_t *size);
