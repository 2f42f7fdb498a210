// SPDX-License-Identifier: GPL-2.0-or-later
/* The files of the state directory. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ack.h"
#include "json.h"
#include "name.h"
#include "state.h"
#include "uuid.h"

#define SUFFIX		".json"
#define TEMPORARY	".new"
/* Larger files weren't written here. */
#define FILE_MAX_BYTES	8192

static const char *const roles[] = {
	[RECORD_PRIMARY] = "primary", [RECORD_SPARE] = "spare", [RECORD_PROMOTED] = "promoted",
	[RECORD_TAKING] = "taking-back",
};

static int open_dir(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Also on the disk, in the directory above. */
static int make(const char *dir, mode_t mode)
{
	char above[PATH_MAX];
	int fd, ret;

	if (mkdir(dir, mode))
		return errno == EEXIST ? 0 : -errno;
	snprintf(above, sizeof(above), "%s/..", dir);
	fd = open_dir(above);
	if (fd < 0)
		return fd;
	ret = fsync(fd) ? -errno : 0;
	close(fd);
	return ret;
}

int state_dir_make(const char *dir)
{
	char above[PATH_MAX], *slash;
	int ret = 0;

	if (!*dir)
		return 0;
	snprintf(above, sizeof(above), "%s", dir);
	for (slash = strchr(above + 1, '/'); slash && !ret; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		ret = make(above, 0755);
		*slash = '/';
	}
	return ret ? ret : make(dir, 0750);
}

/*
 * Writing
 */

static struct json_object *followers_json(const struct record *r)
{
	struct json_object *list = js_list(), *o;
	u32 i;

	for (i = 0; i < r->nr_followers; i++) {
		o = js_new();
		js_uuid(o, "node", r->followers[i].node);
		js_str(o, "name", r->followers[i].name);
		js_bool(o, "left", r->followers[i].left);
		js_bool(o, "others", r->followers[i].others);
		js_bool(o, "unsure", r->followers[i].unsure);
		json_object_array_add(list, o);
	}
	return list;
}

static struct json_object *record_json(const struct record *r)
{
	struct json_object *o = js_document();

	js_str(o, "name", r->name);
	js_u64(o, "term", r->term);
	js_uuid(o, "owner", r->owner);
	if (r->owned)
		js_u64(o, "uid", r->uid);
	js_str(o, "role", roles[r->role]);
	js_uuid(o, "session", r->session);
	js_u64(o, "generation", r->generation);
	js_uuid(o, "boot", r->boot);
	js_bool(o, "ended", r->ended);
	js_bool(o, "failed", r->failed);
	js_bool(o, "unseen", r->unseen);
	js_uuid(o, "before", r->before);
	js_bool(o, "outdated", r->outdated);
	js_bool(o, "source", r->source);
	js_bool(o, "taken_back", r->taken_back);
	js_bool(o, "spare", r->spare);
	/* Older versions know one. */
	js_uuid(o, "follower", r->followers[0].node);
	js_put(o, "followers", followers_json(r));
	js_str(o, "ack", r->ack);
	js_bool(o, "others", r->others);
	js_bool(o, "unsure", r->unsure);
	js_u64(o, "alone_since", r->alone_since);
	js_bool(o, "alone_said", r->alone_said);
	js_u64(o, "handed", r->handed);
	js_uuid(o, "handed_to", r->handed_to);
	js_str(o, "handed_name", r->handed_name);
	js_bool(o, "promoting", r->promoting);
	js_u64(o, "before_term", r->before_term);
	js_uuid(o, "before_owner", r->before_owner);
	js_str(o, "before_role", roles[r->before_role]);
	js_bool(o, "split", r->split);
	js_u64(o, "lost_term", r->lost_term);
	js_uuid(o, "other", r->other);
	js_str(o, "other_name", r->other_name);
	return o;
}

static int write_whole(int fd, const char *text, size_t len)
{
	ssize_t n;

	while (len) {
		n = write(fd, text, len);
		if (n < 0 && errno != EINTR)
			return -errno;
		text += MAX(n, 0);
		len -= MAX(n, 0);
	}
	return fsync(fd) ? -errno : 0;
}

static int write_file(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	int ret = fd < 0 ? -errno : write_whole(fd, text, strlen(text));

	if (fd >= 0 && close(fd) && !ret)
		ret = -errno;
	return ret;
}

static int replace(int dir, const char *name, const char *text)
{
	char file[CPTDEV_NAME_MAX + sizeof(SUFFIX)], new[sizeof(file) + sizeof(TEMPORARY)];
	int ret;

	snprintf(file, sizeof(file), "%s" SUFFIX, name);
	snprintf(new, sizeof(new), "%s" TEMPORARY, file);
	ret = write_file(dir, new, text);
	if (!ret && renameat(dir, new, dir, file))
		ret = -errno;
	if (ret)
		unlinkat(dir, new, 0);
	else if (fsync(dir))
		ret = -errno;
	return ret;
}

int state_write(const char *dir, const struct record *r)
{
	struct json_object *o;
	int fd, ret;

	if (!*dir)
		return 0;
	fd = open_dir(dir);
	if (fd < 0)
		return fd;
	o = record_json(r);
	ret = replace(fd, r->name, js_line(o));
	json_object_put(o);
	close(fd);
	return ret;
}

int state_remove(const char *dir, const char *name)
{
	char file[CPTDEV_NAME_MAX + sizeof(SUFFIX)];
	int fd, ret = 0;

	if (!*dir)
		return 0;
	fd = open_dir(dir);
	if (fd < 0)
		return fd;
	snprintf(file, sizeof(file), "%s" SUFFIX, name);
	if (unlinkat(fd, file, 0))
		ret = errno == ENOENT ? 0 : -errno;
	else if (fsync(fd))
		ret = -errno;
	close(fd);
	return ret;
}

/*
 * Reading: a file may have been cut off, edited, or made up.
 */

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool uuid_read(const char *text, u8 *uuid)
{
	char again[UUID_TEXT_LEN];
	const char *p = text;
	int i, high, low;

	for (i = 0; p && i < CPTDEV_UUID_LEN; i++) {
		p += *p == '-';
		high = hex(p[0]);
		low = high < 0 ? -1 : hex(p[1]);
		if (low < 0)
			return false;
		uuid[i] = high << 4 | low;
		p += 2;
	}
	return p && !strcmp(uuid_text(uuid, again), text);
}

static bool role_read(const char *text, u32 *role)
{
	for (*role = 0; text && *role < ARRAY_SIZE(roles); (*role)++)
		if (!strcmp(text, roles[*role]))
			return true;
	return false;
}

static bool bool_read(struct json_object *o, const char *key, bool *value)
{
	struct json_object *v = js_at(o, key);

	*value = v && json_object_get_boolean(v);
	return v && json_object_is_type(v, json_type_boolean);
}

static bool number_read(struct json_object *o, const char *key, u64 max, u64 *value)
{
	struct json_object *v = js_at(o, key);

	*value = js_get_u64(o, key);
	return v && json_object_is_type(v, json_type_int) && *value <= max &&
		json_object_get_int64(v) >= 0;
}

static bool follower_read(struct json_object *o, struct record_follower *f)
{
	const char *name = js_get_str(o, "name");

	/* A file of an older version didn't say how it is called. */
	if (!name || (*name && !name_valid(name, strlen(name))))
		return false;
	memset(f, 0, sizeof(*f));
	strcpy(f->name, name);
	return uuid_read(js_get_str(o, "node"), f->node) && bool_read(o, "left", &f->left) &&
		bool_read(o, "others", &f->others) && bool_read(o, "unsure", &f->unsure);
}

static bool followers_read(struct json_object *list, struct record *r)
{
	size_t i, n;

	if (!json_object_is_type(list, json_type_array))
		return false;
	n = json_object_array_length(list);
	if (n > RECORD_FOLLOWERS_MAX)
		return false;
	r->nr_followers = n;
	for (i = 0; i < n; i++)
		if (!follower_read(json_object_array_get_idx(list, i), &r->followers[i]))
			return false;
	return true;
}

static bool ack_read(const char *text, struct record *r)
{
	struct ack_policy p;
	char why[128];

	if (!text || (*text && ack_parse(text, &p, why, sizeof(why))))
		return false;
	strcpy(r->ack, text);
	return true;
}

/* Files of older versions have no such keys: a spare may have followed. */
static const char *spare_read(struct json_object *o, struct record *r)
{
	r->spare = true;
	if (js_at(o, "spare") && !bool_read(o, "spare", &r->spare))
		return "spare";
	if (js_at(o, "follower") && !uuid_read(js_get_str(o, "follower"), r->followers[0].node))
		return "follower";
	r->nr_followers = !uuid_same(r->followers[0].node, uuid_none);
	if (js_at(o, "followers") && !followers_read(js_at(o, "followers"), r))
		return "followers";
	if (js_at(o, "ack") && !ack_read(js_get_str(o, "ack"), r))
		return "ack";
	if (js_at(o, "others") && !bool_read(o, "others", &r->others))
		return "others";
	if (js_at(o, "unsure") && !bool_read(o, "unsure", &r->unsure))
		return "unsure";
	if (js_at(o, "alone_since") &&
	    !number_read(o, "alone_since", INT64_MAX, &r->alone_since))
		return "alone_since";
	if (js_at(o, "alone_said") && !bool_read(o, "alone_said", &r->alone_said))
		return "alone_said";
	return NULL;
}

/* The same: nothing is known then of why the name stands still. */
static const char *still_read(struct json_object *o, struct record *r)
{
	const char *name = js_get_str(o, "other_name");

	if (js_at(o, "split") && !bool_read(o, "split", &r->split))
		return "split";
	if (js_at(o, "lost_term") && !number_read(o, "lost_term", CPTDEV_TERM_MAX, &r->lost_term))
		return "lost_term";
	if (!record_stands_still(r))
		return NULL;
	if (!uuid_read(js_get_str(o, "other"), r->other))
		return "other";
	if (!name || !name_valid(name, strlen(name)))
		return "other_name";
	strcpy(r->other_name, name);
	return NULL;
}

/* The same: nothing was handed over. */
static const char *handed_read(struct json_object *o, struct record *r)
{
	const char *name = js_get_str(o, "handed_name");

	if (js_at(o, "handed") && !number_read(o, "handed", CPTDEV_TERM_MAX, &r->handed))
		return "handed";
	if (!r->handed)
		return NULL;
	if (!uuid_read(js_get_str(o, "handed_to"), r->handed_to))
		return "handed_to";
	if (!name || !name_valid(name, strlen(name)))
		return "handed_name";
	strcpy(r->handed_name, name);
	return NULL;
}

/* The user, whom files of older versions don't have. */
static bool user_read(struct json_object *o, struct record *r)
{
	u64 uid;

	r->owned = js_at(o, "uid");
	if (r->owned && !number_read(o, "uid", UINT32_MAX, &uid))
		return false;
	r->uid = r->owned ? uid : 0;
	return true;
}

/* What is wrong, or NULL. */
static const char *record_read(struct json_object *o, const char *name, struct record *r)
{
	const char *said = js_get_str(o, "name"), *wrong;

	memset(r, 0, sizeof(*r));
	if (js_get_u64(o, "schema_version") != JSON_SCHEMA_VERSION)
		return "schema_version";
	if (!said || strcmp(said, name))
		return "name";
	strcpy(r->name, name);
	if (!number_read(o, "term", CPTDEV_TERM_MAX, &r->term))
		return "term";
	if (!uuid_read(js_get_str(o, "owner"), r->owner))
		return "owner";
	if (!user_read(o, r))
		return "uid";
	if (!role_read(js_get_str(o, "role"), &r->role))
		return "role";
	if (!uuid_read(js_get_str(o, "session"), r->session))
		return "session";
	if (!number_read(o, "generation", INT64_MAX, &r->generation))
		return "generation";
	if (!uuid_read(js_get_str(o, "boot"), r->boot))
		return "boot";
	if (!bool_read(o, "ended", &r->ended))
		return "ended";
	/* Files of older versions have no such keys. */
	if (js_at(o, "failed") && !bool_read(o, "failed", &r->failed))
		return "failed";
	if (js_at(o, "unseen") && !bool_read(o, "unseen", &r->unseen))
		return "unseen";
	if (js_at(o, "before") && !uuid_read(js_get_str(o, "before"), r->before))
		return "before";
	if (!bool_read(o, "outdated", &r->outdated))
		return "outdated";
	if (js_at(o, "source") && !bool_read(o, "source", &r->source))
		return "source";
	if (js_at(o, "taken_back") && !bool_read(o, "taken_back", &r->taken_back))
		return "taken_back";
	wrong = spare_read(o, r);
	if (!wrong)
		wrong = handed_read(o, r);
	if (wrong)
		return wrong;
	if (!bool_read(o, "promoting", &r->promoting))
		return "promoting";
	if (!number_read(o, "before_term", CPTDEV_TERM_MAX, &r->before_term))
		return "before_term";
	if (!uuid_read(js_get_str(o, "before_owner"), r->before_owner))
		return "before_owner";
	if (!role_read(js_get_str(o, "before_role"), &r->before_role))
		return "before_role";
	return still_read(o, r);
}

static ssize_t file_text(int dir, const char *file, char *text, size_t size)
{
	int fd = openat(dir, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);
	int err = errno;

	if (fd >= 0)
		close(fd);
	text[MAX(n, 0)] = '\0';
	return n < 0 ? -err : n;
}

static void read_one(int dir, const char *file, const char *name, state_fn fn, void *arg)
{
	char text[FILE_MAX_BYTES];
	ssize_t n = file_text(dir, file, text, sizeof(text));
	struct json_object *o;
	const char *wrong;
	struct record r;
	char why[64];

	if (n < 0) {
		fn(arg, name, NULL, strerror(-n));
		return;
	}
	o = json_tokener_parse(text);
	wrong = o ? record_read(o, name, &r) : NULL;
	snprintf(why, sizeof(why), wrong ? "bad \"%s\"" : "it isn't JSON", wrong);
	fn(arg, name, o && !wrong ? &r : NULL, why);
	json_object_put(o);
}

int state_read_all(const char *dir, state_fn fn, void *arg)
{
	struct dirent *e;
	size_t len;
	DIR *list;

	if (!*dir)
		return 0;
	list = opendir(dir);
	if (!list)
		return -errno;
	while ((e = readdir(list))) {
		char name[sizeof(e->d_name)];

		len = strlen(e->d_name);
		if (len <= strlen(SUFFIX) || strcmp(e->d_name + len - strlen(SUFFIX), SUFFIX))
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)(len - strlen(SUFFIX)), e->d_name);
		if (name_valid(name, strlen(name)))
			read_one(dirfd(list), e->d_name, name, fn, arg);
	}
	closedir(list);
	return 0;
}
