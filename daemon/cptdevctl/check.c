// SPDX-License-Identifier: GPL-2.0-or-later
/* cptdevctl check: the findings, shown. */
#include <string.h>

#include "check.h"

static const char *const words[] = {
	[LEVEL_OK] = "ok", [LEVEL_WARN] = "warn", [LEVEL_FAIL] = "FAIL",
};

void findings_text(const struct findings *f, FILE *to)
{
	unsigned int i;

	for (i = 0; i < f->nr; i++) {
		fprintf(to, "%-4s  %-10s  %s\n", words[f->list[i].level], f->list[i].name,
			f->list[i].text);
		if (*f->list[i].next)
			fprintf(to, "%18sNext: %s\n", "", f->list[i].next);
	}
}

struct json_object *findings_json(const struct findings *f)
{
	struct json_object *o = js_document(), *list = js_list(), *one;
	unsigned int i;

	for (i = 0; i < f->nr; i++) {
		one = js_new();
		js_str(one, "name", f->list[i].name);
		js_str(one, "result", f->list[i].level == LEVEL_FAIL ? "fail" :
		       words[f->list[i].level]);
		js_str(one, "text", f->list[i].text);
		if (*f->list[i].next)
			js_str(one, "next", f->list[i].next);
		else
			js_null(one, "next");
		json_object_array_add(list, one);
	}
	js_put(o, "checks", list);
	js_bool(o, "ok", findings_worst(f) != LEVEL_FAIL);
	return o;
}

enum level findings_worst(const struct findings *f)
{
	enum level worst = LEVEL_OK;
	unsigned int i;

	for (i = 0; i < f->nr; i++)
		worst = MAX(worst, f->list[i].level);
	return worst;
}

int verb_check(struct ctl *c, int argc, char **argv)
{
	static struct findings findings;
	struct facts facts;

	if (argc > 1 || (argc == 1 && strcmp(argv[0], "module")))
		return ctl_fail(c, EXIT_USAGE, "usage", "cptdevctl --help",
				"check takes no argument but \"module\"");
	if (argc == 1) {
		facts_gather_module(&facts);
		rules_apply_module(&facts, &findings);
	} else {
		facts_gather(&facts, c->kernel, c->socket);
		rules_apply(&facts, &findings);
	}
	facts_free(&facts);
	if (c->json)
		ctl_print_json(c, findings_json(&findings));
	else
		findings_text(&findings, c->out);
	return findings_worst(&findings) == LEVEL_FAIL ? EXIT_FAILED : EXIT_DONE;
}
