/* SPDX-License-Identifier: BSD-3-Clause */
#include "elf.h"

#include <elf.h>
#include <stdio.h>
#include <string.h>

static const void *
at(const struct elf_file *f, uint64_t offset, uint64_t size)
{
	return offset <= f->size && size <= f->size - offset ? f->data + offset : NULL;
}

/* Tables may lie at any offset: entries are copied, never read in place. */
static bool
segment(const struct elf_file *f, unsigned i, Elf64_Phdr *out)
{
	const Elf64_Ehdr *h = (const Elf64_Ehdr *)f->data;
	const void *p = i < h->e_phnum ? at(f, h->e_phoff + (uint64_t)i * sizeof(*out), sizeof(*out)) : NULL;

	if (p)
		memcpy(out, p, sizeof(*out));
	return p != NULL;
}

static bool
section(const struct elf_file *f, unsigned i, Elf64_Shdr *out)
{
	const Elf64_Ehdr *h = (const Elf64_Ehdr *)f->data;
	const void *p = i < h->e_shnum ? at(f, h->e_shoff + (uint64_t)i * sizeof(*out), sizeof(*out)) : NULL;

	if (p)
		memcpy(out, p, sizeof(*out));
	return p != NULL;
}

bool
elf_check(const struct elf_file *f, char *why, size_t size)
{
	const Elf64_Ehdr *h = (const Elf64_Ehdr *)f->data;

	if (f->size < sizeof(*h) || memcmp(h->e_ident, ELFMAG, SELFMAG) != 0 || h->e_ident[EI_CLASS] != ELFCLASS64 ||
		h->e_ident[EI_DATA] != ELFDATA2LSB || h->e_type != ET_DYN)
		snprintf(why, size, "not a shared object (64-bit ELF)");
#if defined(__x86_64__)
	else if (h->e_machine != EM_X86_64)
#else
	else if (h->e_machine != EM_AARCH64)
#endif
		snprintf(why, size, "built for another machine (ELF machine %u)", h->e_machine);
	else if (h->e_phentsize != sizeof(Elf64_Phdr) || (h->e_shnum && h->e_shentsize != sizeof(Elf64_Shdr)))
		snprintf(why, size, "damaged: ELF header");
	else
		return true;
	return false;
}

/* One segment of notes. */
static bool
find_note(const uint8_t *p, uint64_t left, char out[41])
{
	while (left >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr n;
		uint64_t name, desc;

		memcpy(&n, p, sizeof(n));
		name = sizeof(n) + ((n.n_namesz + UINT64_C(3)) & ~UINT64_C(3));
		desc = name + ((n.n_descsz + UINT64_C(3)) & ~UINT64_C(3));
		if (desc > left)
			return false;
		if (n.n_type == NT_GNU_BUILD_ID && n.n_namesz == 4 && memcmp(p + sizeof(n), "GNU", 4) == 0 && n.n_descsz >= 8) {
			for (unsigned i = 0; i < n.n_descsz && i < 20; i++)
				snprintf(out + 2 * i, 3, "%02x", p[name + i]);
			return true;
		}
		p += desc;
		left -= desc;
	}
	return false;
}

bool
elf_build_id(const struct elf_file *f, char out[41])
{
	Elf64_Phdr s;

	for (unsigned i = 0; segment(f, i, &s); i++) {
		const void *p = s.p_type == PT_NOTE ? at(f, s.p_offset, s.p_filesz) : NULL;

		if (p && find_note(p, s.p_filesz, out))
			return true;
	}
	return false;
}

/* The file's bytes that are mapped to an address. */
static const void *
at_address(const struct elf_file *f, uint64_t address, uint64_t size)
{
	Elf64_Phdr s;

	for (unsigned i = 0; segment(f, i, &s); i++)
		if (s.p_type == PT_LOAD && address >= s.p_vaddr && address - s.p_vaddr <= s.p_filesz &&
			size <= s.p_filesz - (address - s.p_vaddr) && s.p_offset <= f->size)
			return at(f, s.p_offset + (address - s.p_vaddr), size);
	return NULL;
}

const void *
elf_symbol(const struct elf_file *f, const char *name, size_t *size)
{
	size_t len = strlen(name) + 1;
	Elf64_Shdr table, strings;

	for (unsigned i = 0; section(f, i, &table); i++) {
		if (table.sh_type != SHT_DYNSYM || !section(f, table.sh_link, &strings))
			continue;
		for (uint64_t k = 0; k < table.sh_size / sizeof(Elf64_Sym); k++) {
			const void *p = at(f, table.sh_offset + k * sizeof(Elf64_Sym), sizeof(Elf64_Sym));
			const char *text;
			Elf64_Sym s;

			if (!p)
				return NULL;
			memcpy(&s, p, sizeof(s));
			text = s.st_name < strings.sh_size ? at(f, strings.sh_offset + s.st_name, len) : NULL;
			if (s.st_shndx == SHN_UNDEF || !text || memcmp(text, name, len) != 0)
				continue;
			*size = s.st_size;
			return at_address(f, s.st_value, s.st_size);
		}
	}
	return NULL;
}
