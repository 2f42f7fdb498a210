// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libhotspare: the data of a library that is saved: what the loader keeps for itself in it is not,
 * and addresses that it has put there are known.
 */
#include <elf.h>
#include <errno.h>
#include <gnu/lib-names.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "hotspare.h"
#include "ranges.h"

#if defined(__x86_64__)
#define OWN_ADDRESS	R_X86_64_RELATIVE
#elif defined(__aarch64__)
#define OWN_ADDRESS	R_AARCH64_RELATIVE
#else
/* Unknown: then all that the loader has put there are remembered. */
#define OWN_ADDRESS	0
#endif

struct object {
	const char *name;
	bool found;
	ElfW(Addr) base;
	struct hs_ranges all;		/* of it */
	int ret;
};

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

struct dynamic {
	const ElfW(Sym) *symbols;
	const ElfW(Rela) *rela, *plt_rela;
	size_t rela_len, plt_len;
	uint64_t plt_got;
};

/* Pointers in it are addresses already: the loader has seen to that. */
static struct dynamic read_dynamic(const ElfW(Dyn) *d)
{
	struct dynamic all = { .plt_got = 0 };

	for (; d->d_tag != DT_NULL; d++) {
		switch (d->d_tag) {
		case DT_SYMTAB:
			all.symbols = (const void *)d->d_un.d_ptr;
			break;
		case DT_RELA:
			all.rela = (const void *)d->d_un.d_ptr;
			break;
		case DT_RELASZ:
			all.rela_len = d->d_un.d_val;
			break;
		case DT_JMPREL:
			all.plt_rela = (const void *)d->d_un.d_ptr;
			break;
		case DT_PLTRELSZ:
			all.plt_len = d->d_un.d_val;
			break;
		case DT_PLTGOT:
			all.plt_got = d->d_un.d_ptr;
			break;
		}
	}
	return all;
}

/* Of the object itself, and no function that chooses by the CPU? */
static bool own_symbol(const struct dynamic *d, const ElfW(Rela) *r)
{
	const ElfW(Sym) *s = &d->symbols[ELF64_R_SYM(r->r_info)];

	return s->st_shndx != SHN_UNDEF && ELF64_ST_TYPE(s->st_info) != STT_GNU_IFUNC &&
		ELF64_ST_BIND(s->st_info) == STB_LOCAL;
}

static int add_slot(struct hs_ranges *r, uint64_t addr)
{
	struct hs_slot *v = realloc(r->slots, (r->nr_slots + 1) * sizeof(*v));

	if (!v)
		return -1;
	r->slots = v;
	v[r->nr_slots++] = (struct hs_slot) { addr, *(uint64_t *)(uintptr_t)addr };
	return 0;
}

static int add_slots(struct object *o, const struct dynamic *d)
{
	const ElfW(Rela) *r, *end = d->rela + d->rela_len / sizeof(*r);
	uint64_t addr;

	for (r = d->rela; r < end; r++) {
		addr = o->base + r->r_offset;
		if (ELF64_R_TYPE(r->r_info) == OWN_ADDRESS || own_symbol(d, r) ||
		    !hs_intervals_have(&o->all.saved, addr, addr + 8))
			continue;
		if (add_slot(&o->all, addr))
			return -1;
	}
	return 0;
}

/* The table that calls of other objects go through: of no use on another host. */
static int remove_plt(struct object *o, const struct dynamic *d)
{
	size_t entries = 3 + d->plt_len / sizeof(ElfW(Rela));

	if (!d->plt_got)
		return 0;
	return hs_intervals_remove(&o->all.saved, d->plt_got, d->plt_got + entries * 8);
}

static int add_segments(struct object *o, const struct dl_phdr_info *info)
{
	const ElfW(Phdr) *p = info->dlpi_phdr, *end = p + info->dlpi_phnum;
	struct hs_intervals *saved = &o->all.saved;
	uint64_t start;

	for (; p < end; p++) {
		start = info->dlpi_addr + p->p_vaddr;
		if (p->p_type == PT_LOAD && p->p_flags & PF_W &&
		    hs_intervals_add(saved, start, start + p->p_memsz))
			return -1;
	}
	/* What is made read-only when the loader has done its part. */
	for (p = info->dlpi_phdr; p < end; p++) {
		start = info->dlpi_addr + p->p_vaddr;
		if (p->p_type == PT_GNU_RELRO &&
		    hs_intervals_remove(saved, start, (start + p->p_memsz) & ~(HS_PAGE - 1)))
			return -1;
	}
	return 0;
}

static int look_at(struct dl_phdr_info *info, size_t size, void *arg)
{
	const ElfW(Phdr) *p = info->dlpi_phdr, *end = p + info->dlpi_phnum;
	struct object *o = arg;
	struct dynamic d;

	(void)size;
	/* The program itself comes first, and has no name. */
	if (strcmp(last_part(info->dlpi_name), o->name))
		return 0;
	o->found = true;
	o->base = info->dlpi_addr;
	o->ret = add_segments(o, info);
	for (; !o->ret && p < end; p++) {
		if (p->p_type != PT_DYNAMIC)
			continue;
		d = read_dynamic((const void *)(info->dlpi_addr + p->p_vaddr));
		o->ret = remove_plt(o, &d) ?: add_slots(o, &d);
	}
	return 1;
}

/* What the C library and the loader remember is of their process, too. */
static bool of_the_process(const char *name)
{
	return !strcmp(name, LIBC_SO) || !strcmp(name, LD_SO);
}

int hs_dso(const char *name)
{
	struct object o = { .name = name ?: "" };
	int ret = -1;

	/* The program's is the empty name. */
	if (!name || *name)
		dl_iterate_phdr(look_at, &o);
	if (!o.found) {
		errno = ENOENT;
	} else if (o.ret) {
		errno = ENOMEM;
	} else if (of_the_process(o.name)) {
		errno = EINVAL;
	} else {
		ret = hs_ranges_merge(&o.all);
	}
	hs_ranges_free(&o.all);
	return ret;
}
