// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cptdevctl completion: scripts for bash and zsh, from the table of verbs. They ask for names
 * when they complete one.
 */
#include <ctype.h>
#include <string.h>

#include "verbs.h"

/* The lower-case words of what may follow, in one line. */
static void words(const struct verb *v, FILE *to)
{
	const char *p = v->args, *end;

	for (; *p && *p != '['; p = end) {
		end = p + 1;
		if (!islower((unsigned char)*p))
			continue;
		end = p + strcspn(p, " |");
		fprintf(to, "%.*s ", (int)(end - p), p);
	}
}

/* The commands of a shell that add what may come next. */
struct shell {
	const char *before_words, *after_words;
	const char *names;
	const char *files;
};

static void cases(const struct shell *shell, FILE *to)
{
	const struct verb *v;
	size_t i;

	for (i = 0; (v = verbs_at(i)); i++) {
		if (!*v->args || (v->args[1] == '[' && !strstr(v->args, "FILE")))
			continue;
		fprintf(to, "\t%s)\n", v->name);
		if (islower((unsigned char)v->args[1])) {
			fprintf(to, "\t\t%s", shell->before_words);
			words(v, to);
			fprintf(to, "%s\n", shell->after_words);
		}
		if (strstr(v->args, "NAME"))
			fprintf(to, "\t\t%s\n", shell->names);
		if (strstr(v->args, "FILE"))
			fprintf(to, "\t\t%s\n", shell->files);
		fputs("\t\t;;\n", to);
	}
}

/* Of sessions and replicas, one on a line. */
static void names_function(FILE *to)
{
	fputs("_cptdevctl_names()\n"
	      "{\n"
	      "\tcptdevctl metrics 2>/dev/null |\n"
	      "\t\tsed -n 's/^[a-z_]*{\\(session\\|replica\\)=\"\\([^\"]\\{1,\\}\\)\".*/\\2/p' | sort -u\n"
	      "}\n"
	      "\n", to);
}

/* In single quotes. */
static void quoted(const char *text, FILE *to)
{
	for (; *text; text++)
		if (*text == '\'')
			fputs("'\\''", to);
		else
			fputc(*text, to);
}

static void bash(FILE *to)
{
	static const struct shell shell = {
		"words+=' ", "'", "words+=\" $(_cptdevctl_names)\"",
		"COMPREPLY=($(compgen -f -- \"$cur\")); return",
	};
	const struct option *o;
	const struct verb *v;
	size_t i;

	fputs("# bash completion for cptdevctl: made by \"cptdevctl completion bash\"\n", to);
	names_function(to);
	fputs("_cptdevctl()\n"
	      "{\n"
	      "\tlocal cur=${COMP_WORDS[COMP_CWORD]} verb= words= i\n"
	      "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	      "\t\tcase ${COMP_WORDS[i]} in\n"
	      "\t\t-[tsTp] | --timeout | --socket | --term | --peer) ((i++)) || true ;;\n"
	      "\t\t-*) ;;\n"
	      "\t\t*) verb=${COMP_WORDS[i]}; break ;;\n"
	      "\t\tesac\n"
	      "\tdone\n"
	      "\tcase ${COMP_WORDS[COMP_CWORD - 1]} in\n"
	      "\t-s | --socket) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
	      "\t-[tTp] | --timeout | --term | --peer) COMPREPLY=(); return ;;\n"
	      "\tesac\n"
	      "\tcase $verb in\n"
	      "\t'')\n"
	      "\t\twords='", to);
	for (i = 0; (v = verbs_at(i)); i++)
		fprintf(to, "%s ", v->name);
	fputs("'\n\t\t;;\n", to);
	cases(&shell, to);
	fputs("\tesac\n"
	      "\t[[ $cur != -* ]] || words='", to);
	for (o = verbs_options; o->name; o++)
		fprintf(to, "--%s ", o->name);
	fputs("'\n"
	      "\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
	      "}\n"
	      "complete -F _cptdevctl cptdevctl\n", to);
}

static void zsh(FILE *to)
{
	static const struct shell shell = {
		"compadd -- ", "", "compadd -- $(_cptdevctl_names)", "_files",
	};
	const struct option *o;
	const struct verb *v;
	size_t i;

	fputs("#compdef cptdevctl\n"
	      "# zsh completion for cptdevctl: made by \"cptdevctl completion zsh\"\n", to);
	names_function(to);
	fputs("_cptdevctl()\n"
	      "{\n"
	      "\tlocal curcontext=$curcontext state line\n"
	      "\tlocal -a verbs\n"
	      "\tverbs=(\n", to);
	for (i = 0; (v = verbs_at(i)); i++) {
		fprintf(to, "\t\t'%s:", v->name);
		quoted(v->help, to);
		fputs("'\n", to);
	}
	fputs("\t)\n"
	      "\t_arguments -C", to);
	for (o = verbs_options; o->name; o++)
		fprintf(to, " '--%s%s'", o->name, !o->has_arg ? "" :
			strcmp(o->name, "socket") ? ":number:" : ":socket:_files");
	fputs(" '1:verb:->verb' '*::argument:->argument'\n"
	      "\tif [[ $state = verb ]]; then\n"
	      "\t\t_describe verb verbs\n"
	      "\t\treturn\n"
	      "\tfi\n"
	      "\tcase $words[1] in\n", to);
	cases(&shell, to);
	fputs("\tesac\n"
	      "}\n"
	      "_cptdevctl \"$@\"\n", to);
}

int verb_completion(struct ctl *c, int argc, char **argv)
{
	if (argc == 1 && !strcmp(argv[0], "bash"))
		bash(c->out);
	else if (argc == 1 && !strcmp(argv[0], "zsh"))
		zsh(c->out);
	else
		return ctl_fail(c, EXIT_USAGE, "usage", "cptdevctl completion bash",
				"completion needs the name of a shell: bash or zsh");
	return EXIT_DONE;
}
