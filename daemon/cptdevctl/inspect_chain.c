// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Several files of checkpoints: a whole one, and increments that follow one another, as a
 * restart takes them.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "inspect.h"

static bool is_increment(const struct inspect_file *f)
{
	return f->head.flags & HS_IMAGE_INCREMENT;
}

static bool usable(const struct inspect_file *f)
{
	return f->head_good && !f->nr_problems;
}

static int by_generation(const void *a, const void *b)
{
	const struct inspect_file *x = a, *y = b;

	/* Those of which nothing is known come first. */
	if (x->head_good != y->head_good)
		return x->head_good ? 1 : -1;
	if (x->head.generation != y->head.generation)
		return x->head.generation < y->head.generation ? -1 : 1;
	return strcmp(x->path, y->path);
}

__attribute__((format(printf, 3, 4)))
static void problem(struct inspect_chain *c, const struct inspect_file *f, const char *fmt, ...)
{
	struct json_object *o = js_new();
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	js_str(o, "path", f->path);
	js_str(o, "text", text);
	json_object_array_add(c->problems, o);
}

/* Can @f follow @before, the last that fitted, or NULL? */
static bool follows(struct inspect_chain *c, const struct inspect_file *f,
		    const struct inspect_file *before)
{
	u64 base = f->head.base, generation = f->head.generation;

	if (!before && !is_increment(f))
		return true;
	if (!before)
		problem(c, f, "an increment, and no whole checkpoint comes before it");
	else if (memcmp(before->head.run, f->head.run, sizeof(f->head.run)))
		problem(c, f, "the file is of another run of the program than %s", before->path);
	else if (before->head.generation == generation)
		problem(c, f, "generation %llu is there twice", generation);
	else if (is_increment(f) && base != before->head.generation)
		problem(c, f, "an increment of generation %llu, but the file before it has generation %llu", base,
			(u64)before->head.generation);
	else
		return true;
	return false;
}

void inspect_chain(struct inspect_chain *c, struct inspect_file *f, size_t nr)
{
	const struct inspect_file *before = NULL;
	size_t i;

	*c = (struct inspect_chain) { .problems = js_list() };
	qsort(f, nr, sizeof(*f), by_generation);
	for (i = 0; i < nr; i++) {
		if (!usable(&f[i]))
			problem(c, &f[i], "it can't be used, see above");
		else if (follows(c, &f[i], before))
			before = &f[i];
	}
	if (before)
		c->generation = before->head.generation;
}
