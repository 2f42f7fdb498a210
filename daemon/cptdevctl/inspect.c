// SPDX-License-Identifier: GPL-2.0-or-later
/* cptdevctl inspect FILE... */
#include <stdlib.h>

#include "inspect.h"

static struct json_object *chain_json(struct inspect_chain *chain)
{
	struct json_object *o = js_new();

	js_bool(o, "ok", !json_object_array_length(chain->problems));
	js_u64(o, "generation", chain->generation);
	js_put(o, "problems", json_object_get(chain->problems));
	return o;
}

static void show_json(struct ctl *c, const struct inspect_file *f, size_t nr,
		      struct inspect_chain *chain, bool ok)
{
	struct json_object *o = js_document(), *files = js_list();
	size_t i;

	js_bool(o, "ok", ok);
	for (i = 0; i < nr; i++)
		json_object_array_add(files, inspect_json(&f[i]));
	js_put(o, "files", files);
	js_put(o, "chain", chain ? chain_json(chain) : NULL);
	ctl_print_json(c, o);
}

static void chain_text(const struct inspect_chain *chain, FILE *to)
{
	size_t i, nr = json_object_array_length(chain->problems);

	if (nr)
		fprintf(to, "The files don't follow one another:\n");
	else
		fprintf(to, "The files follow one another; a restart continues from generation %llu.\n",
			chain->generation);
	for (i = 0; i < nr; i++) {
		struct json_object *o = json_object_array_get_idx(chain->problems, i);

		fprintf(to, "  %s: %s\n", js_get_str(o, "path"), js_get_str(o, "text"));
	}
}

static void show_text(struct ctl *c, const struct inspect_file *f, size_t nr,
		      const struct inspect_chain *chain)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		inspect_text(&f[i], c->out);
		if (nr > 1)
			fputc('\n', c->out);
	}
	if (chain)
		chain_text(chain, c->out);
}

int verb_inspect(struct ctl *c, int argc, char **argv)
{
	struct inspect_chain chain = { .problems = NULL };
	struct inspect_file *f;
	size_t i, nr = (size_t)argc;
	bool ok = true;

	if (argc < 1)
		return ctl_fail(c, EXIT_USAGE, "usage", NULL,
				"inspect needs the name of a file with a checkpoint");
	f = calloc(nr, sizeof(*f));
	if (!f)
		abort();
	for (i = 0; i < nr; i++) {
		inspect_read(&f[i], argv[i]);
		ok &= !f[i].nr_problems;
	}
	if (nr > 1) {
		inspect_chain(&chain, f, nr);
		ok &= !json_object_array_length(chain.problems);
	}
	if (c->json)
		show_json(c, f, nr, nr > 1 ? &chain : NULL, ok);
	else
		show_text(c, f, nr, nr > 1 ? &chain : NULL);
	json_object_put(chain.problems);
	for (i = 0; i < nr; i++)
		inspect_free(&f[i]);
	free(f);
	return ok ? EXIT_DONE : EXIT_FAILED;
}
