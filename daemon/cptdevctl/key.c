// SPDX-License-Identifier: GPL-2.0-or-later
/* cptdevctl key: a new key for the links of two hosts. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "ctl.h"

#define KEY_LEN	32

static int make_text(char text[2 * KEY_LEN + 2])
{
	u8 key[KEY_LEN];
	size_t i;

	if (getrandom(key, sizeof(key), 0) != sizeof(key))
		return -1;
	for (i = 0; i < sizeof(key); i++)
		sprintf(text + 2 * i, "%02x", key[i]);
	strcat(text, "\n");
	explicit_bzero(key, sizeof(key));
	return 0;
}

/* A file that is there may be a key in use: it isn't written over. */
static int write_key(const char *path)
{
	char text[2 * KEY_LEN + 2];
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int err;

	if (fd < 0)
		return errno;
	errno = 0;
	if (!make_text(text) && write(fd, text, strlen(text)) == (ssize_t)strlen(text) &&
	    !fsync(fd)) {
		explicit_bzero(text, sizeof(text));
		close(fd);
		return 0;
	}
	err = errno ? errno : ENOSPC;
	explicit_bzero(text, sizeof(text));
	close(fd);
	unlink(path);
	return err;
}

int verb_key(struct ctl *c, int argc, char **argv)
{
	int err;

	if (argc != 1)
		return ctl_fail(c, EXIT_USAGE, "usage", "cptdevctl --help",
				"key needs the name of a file to write, such as /etc/cptdev/key");
	err = write_key(argv[0]);
	if (err)
		return ctl_fail(c, EXIT_FAILED, "file", err == EEXIST ?
				"choose another name, or remove the file if no host uses it any more" :
				"cptdevctl key FILE", "no key was written to %s: %s", argv[0],
				strerror(err));
	c->changed = true;
	if (c->json) {
		struct json_object *o = js_document();

		js_str(o, "file", argv[0]);
		ctl_print_json(c, o);
	} else {
		fprintf(c->out, "%s: a new key. Copy it to the other host, and set psk_file in [peer] on both hosts\n",
			argv[0]);
	}
	return EXIT_DONE;
}
