// SPDX-License-Identifier: GPL-2.0-or-later
/* Records: what survives a boot, a promotion, and two hosts that both went on. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "json.h"
#include "lines.h"
#include "log.h"
#include "pair.h"
#include "state.h"

static struct fake_session *fed(struct pair *p)
{
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10);

	publish_some(&p->a, s, 0, 1);
	WAIT_FOR(p, pair_committed(s));
	return s;
}

/* Power is lost and comes back: the kernel's memory is gone, the disk isn't. */
static void reboot(struct host *h)
{
	host_kill(h);
	fake_free(&h->fake);
	fake_init(&h->fake);
	host_start(h);
	/* A boot of its own. */
	memset(h->daemon.boot, 0xbb, sizeof(h->daemon.boot));
}

static u64 promoted(struct host *h, int expected)
{
	u64 term = 0, generation;

	assert_int_equal(promotion_do(&h->daemon, "kv", &term, &generation, false), expected);
	return term;
}

/* Both have it on disk, before anything else. */
static void terms_are_on_disk(void **state)
{
	struct pair *p = *state;
	const struct record *r;

	fed(p);
	r = record_of(&p->a.daemon, "kv");
	assert_int_equal(r->role, RECORD_PRIMARY);
	assert_int_equal(r->generation, 1);
	host_kill(&p->b);
	host_start(&p->b);
	r = record_of(&p->b.daemon, "kv");
	assert_int_equal(r->role, RECORD_SPARE);
	assert_int_equal(r->generation, 1);
	assert_memory_equal(r->owner, p->a.daemon.self.uuid, sizeof(r->owner));
}

/* The host that took over was started anew, and the program that was overtaken lives. */
static struct fake_session *overtaken_by_what_is_lost(struct pair *p)
{
	struct fake_session *s = fed(p);

	host_kill(&p->a);
	assert_int_equal(promoted(&p->b, 0), 2);
	reboot(&p->b);
	assert_null(fake_replica(&p->b.fake, "kv"));
	host_start(&p->a);
	publish_some(&p->a, s, 1, 2);
	WAIT_FOR(p, *known_find_name(&p->a.daemon, "kv")->barred);
	pair_run(p, 300);
	return s;
}

/* It must not go on, and what it has must not be thrown away. */
static void a_promotion_is_remembered_over_a_boot(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = overtaken_by_what_is_lost(p);

	assert_int_equal(s->rec.committed, 1);
	assert_false(fake_allows(s));
	assert_false(s->fenced);
	assert_non_null(strstr(known_find_name(&p->a.daemon, "kv")->barred,
			       "cptdevctl forget --force kv, on b"));
	/* Also when the daemon of the host that lost it is started anew. */
	host_kill(&p->b);
	host_start(&p->b);
	memset(p->b.daemon.boot, 0xbb, sizeof(p->b.daemon.boot));
	pair_run(p, 300);
	assert_int_equal(s->rec.committed, 1);
	/* What the other host had is given up. */
	assert_int_equal(records_forget(&p->b.daemon, "kv"), 0);
	WAIT_FOR(p, pair_committed(s));
	assert_false(s->fenced);
	assert_true(fake_allows(s));
	assert_true(fake_same(fake_replica(&p->b.fake, "kv"), s));
}

/* The same while nobody is linked. */
static void what_is_given_up_alone_is_heard_later(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = overtaken_by_what_is_lost(p);

	host_kill(&p->b);
	pair_run(p, 100);
	assert_int_equal(state_remove(p->b.conf.state_dir, "kv"), 0);
	host_start(&p->b);
	WAIT_FOR(p, pair_committed(s));
	assert_false(s->fenced);
}

/* Or what this host has. */
static void the_program_that_was_overtaken_may_be_given_up(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = overtaken_by_what_is_lost(p);

	assert_int_equal(records_forget(&p->a.daemon, "kv"), 0);
	WAIT_FOR(p, s->fenced);
	assert_int_equal(s->rec.committed, 1);
	assert_int_equal(record_of(&p->a.daemon, "kv")->term, 2);
}

/* The program that took over failed; its replica has what there was before. */
static void a_program_that_took_over_and_failed_is_lost_as_well(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p), *t;

	host_kill(&p->a);
	assert_int_equal(promoted(&p->b, 0), 2);
	t = fake_session_with(&p->b.fake, "kv", 10, 2, 0);
	publish_some(&p->b, t, 0, 1);
	WAIT_FOR(p, record_of(&p->b.daemon, "kv")->role == RECORD_PRIMARY);
	fake_session_end_by(&p->b.fake, t, CPTDEV_END_KILLED, 9);
	WAIT_FOR(p, record_of(&p->b.daemon, "kv")->failed);
	host_start(&p->a);
	publish_some(&p->a, s, 1, 2);
	WAIT_FOR(p, *known_find_name(&p->a.daemon, "kv")->barred);
	pair_run(p, 300);
	assert_false(s->fenced);
	assert_int_equal(s->rec.committed, 1);
	assert_int_equal(records_forget(&p->b.daemon, "kv"), 0);
	WAIT_FOR(p, pair_committed(s));
	assert_false(s->fenced);
}

static void a_promotion_that_cannot_be_written_is_none(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p);
	char away[CONF_PATH_MAX + 8];

	snprintf(away, sizeof(away), "%s.away", p->b.conf.state_dir);
	assert_int_equal(rename(p->b.conf.state_dir, away), 0);
	promoted(&p->b, -ENOENT);
	assert_false(fake_replica(&p->b.fake, "kv")->promoted);
	assert_int_equal(record_of(&p->b.daemon, "kv")->term, 1);
	assert_int_equal(rename(away, p->b.conf.state_dir), 0);
	publish_some(&p->a, s, 1, 2);
	WAIT_FOR(p, pair_committed(s));
	assert_false(s->fenced);
	assert_int_equal(promoted(&p->b, 0), 2);
}

/* What isn't known may be a higher term. */
static void a_damaged_record_is_not_promoted(void **state)
{
	struct pair *p = *state;
	char path[CONF_PATH_MAX + 16];
	FILE *f;

	fed(p);
	host_kill(&p->b);
	snprintf(path, sizeof(path), "%s/kv.json", p->b.conf.state_dir);
	f = fopen(path, "w");
	fputs("{", f);
	fclose(f);
	host_start(&p->b);
	promoted(&p->b, -EBADMSG);
	assert_false(fake_replica(&p->b.fake, "kv")->promoted);
	assert_int_equal(records_forget(&p->b.daemon, "kv"), 0);
	assert_int_equal(promoted(&p->b, 0), 2);
}

/* The daemon was killed after it wrote the record, before the replica was promoted. */
static void a_promotion_that_was_not_answered_is_undone(void **state)
{
	struct pair *p = *state;
	struct cptdev_image_info info = { .term = 1, .generation = 1 };
	struct fake_session *s = fed(p);
	u64 term = 0;

	memcpy(info.uuid, s->rec.uuid, sizeof(info.uuid));
	assert_int_equal(records_promote(&p->b.daemon, "kv", &term, &info, false), 0);
	host_kill(&p->b);
	host_start(&p->b);
	assert_int_equal(record_of(&p->b.daemon, "kv")->term, 1);
	assert_int_equal(record_of(&p->b.daemon, "kv")->role, RECORD_SPARE);
	publish_some(&p->a, s, 1, 2);
	WAIT_FOR(p, pair_committed(s));
}

/* The same, after the replica was promoted: that counts. */
static void a_promotion_that_was_done_stays(void **state)
{
	struct pair *p = *state;
	struct record r;
	struct fake_session *s = fed(p);

	assert_int_equal(promoted(&p->b, 0), 2);
	host_kill(&p->b);
	/* As it was on disk a moment before. */
	r = (struct record) { .name = "kv", .term = 2, .role = RECORD_PROMOTED,
			      .generation = 1, .promoting = true, .before_term = 1,
			      .before_role = RECORD_SPARE };
	memcpy(r.owner, p->b.daemon.self.uuid, sizeof(r.owner));
	memcpy(r.boot, p->b.daemon.boot, sizeof(r.boot));
	assert_int_equal(state_write(p->b.conf.state_dir, &r), 0);
	host_start(&p->b);
	assert_int_equal(record_of(&p->b.daemon, "kv")->term, 2);
	WAIT_FOR(p, s->fenced);
}

/* The spare lost its memory, and the program was started anew, empty. */
static void an_empty_program_does_not_replace_what_a_spare_had(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p);
	u8 was[CPTDEV_UUID_LEN];
	struct known *k;

	memcpy(was, s->rec.uuid, sizeof(was));
	reboot(&p->b);
	fake_session_end_by(&p->a.fake, s, CPTDEV_END_KILLED, 9);
	s = fake_session(&p->a.fake, "kv", 10);
	publish_some(&p->a, s, 0, 9);
	WAIT_FOR(p, host_linked(&p->a) && host_linked(&p->b) &&
		 known_find_name(&p->a.daemon, "kv"));
	pair_run(p, 200);
	k = known_find_name(&p->a.daemon, "kv");
	assert_non_null(strstr(k->barred, "cptdevctl forget kv"));
	assert_null(host_ship(&p->a, "kv"));
	assert_int_equal(s->rec.committed, 0);
	assert_memory_equal(record_of(&p->a.daemon, "kv")->session, was, sizeof(was));
	/* The person does as he is told; the spare's host has a say of its own. */
	assert_int_equal(records_forget(&p->a.daemon, "kv"), 0);
	WAIT_FOR(p, host_ship(&p->a, "kv") &&
		 host_ship(&p->a, "kv")->last.code == WIRE_E_OTHER);
	assert_non_null(strstr(host_ship(&p->a, "kv")->last.text, "cptdevctl forget kv"));
	assert_int_equal(s->rec.committed, 0);
	/* Nothing is left of the attempt. */
	assert_null(fake_replica(&p->b.fake, "kv"));
	assert_int_equal(records_forget(&p->b.daemon, "kv"), 0);
	WAIT_FOR(p, pair_committed(s));
}

/* Of whoever says so when it is started, nothing is asked. */
static void with_replace_it_does(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p);

	fake_session_end_by(&p->a.fake, s, CPTDEV_END_KILLED, 9);
	s = fake_session_with(&p->a.fake, "kv", 10, 1, CPTDEV_GENL_SESSION_REPLACE);
	publish_some(&p->a, s, 0, 9);
	WAIT_FOR(p, pair_committed(s));
}

/* On the host of the replica, too; and the program that it is of goes on. */
/* A program that is started empty on the spare's host. */
static struct fake_session *barred_at_b(struct pair *p)
{
	struct fake_session *s = fake_session(&p->b.fake, "kv", 10);

	WAIT_FOR(p, known_find_name(&p->b.daemon, "kv"));
	assert_non_null(strstr(known_find_name(&p->b.daemon, "kv")->barred,
			       "Start the program as the spare"));
	return s;
}

static void nor_what_a_replica_has(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p), *empty;

	empty = barred_at_b(p);
	publish_some(&p->a, s, 1, 2);
	WAIT_FOR(p, pair_committed(s));
	host_kill(&p->a);
	host_start(&p->a);
	publish_some(&p->a, s, 1, 3);
	WAIT_FOR(p, pair_committed(s));
	assert_int_equal(empty->rec.committed, 0);
}

/* Nor before the first commit: the record has no data yet, and the replica is about to. */
static void nor_what_a_replica_will_have(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 10), *empty;

	WAIT_FOR(p, host_ship(&p->a, "kv") && ship_follows(host_ship(&p->a, "kv")));
	empty = barred_at_b(p);
	publish_some(&p->a, s, 1, 2);
	WAIT_FOR(p, pair_committed(s));
	assert_int_equal(record_of(&p->b.daemon, "kv")->role, RECORD_SPARE);
	assert_int_equal(record_of(&p->b.daemon, "kv")->generation, 1);
	assert_int_equal(empty->rec.committed, 0);
}

/* Nobody relies on a commit that no record knows of. */
static void a_feed_whose_record_was_given_up_has_a_new_one(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p);

	assert_int_equal(records_forget(&p->b.daemon, "kv"), 0);
	assert_null(record_of(&p->b.daemon, "kv"));
	publish_some(&p->a, s, 1, 2);
	WAIT_FOR(p, pair_committed(s));
	assert_non_null(record_of(&p->b.daemon, "kv"));
	assert_int_equal(record_of(&p->b.daemon, "kv")->generation, s->rec.committed);
}

/* The same session brings everything. */
static void a_spare_that_was_started_anew_is_fed(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p);

	reboot(&p->b);
	publish_some(&p->a, s, 1, 2);
	WAIT_FOR(p, pair_committed(s) && fake_replica(&p->b.fake, "kv"));
	assert_true(fake_same(fake_replica(&p->b.fake, "kv"), s));
}

/* A goes on at a term that B has, too: each of them was told to, by a person. */
static struct fake_session *split(struct pair *p)
{
	struct fake_session *s;
	struct record r;

	fed(p);
	host_kill(&p->a);
	assert_int_equal(promoted(&p->b, 0), 2);
	r = (struct record) { .name = "kv", .term = 2, .role = RECORD_PRIMARY,
			      .generation = 4 };
	memcpy(r.owner, p->a.daemon.self.uuid, sizeof(r.owner));
	fake_session_end(&p->a.fake, &p->a.fake.session[0]);
	s = fake_session_with(&p->a.fake, "kv", 10, 2, 0);
	memcpy(r.session, s->rec.uuid, sizeof(r.session));
	assert_int_equal(state_write(p->a.conf.state_dir, &r), 0);
	host_start(&p->a);
	publish_some(&p->a, s, 0, 5);
	return s;
}

/* What status says of the record. */
static void shows(struct host *h, const char *is, const char *error)
{
	struct json_object *o = status_json(&h->daemon), *r;
	const char *text;

	r = json_object_array_get_idx(js_at(o, "records"), 0);
	assert_string_equal(js_get_str(r, "name"), "kv");
	assert_string_equal(js_get_str(r, "state"), is);
	text = js_get_str(r, "error");
	assert_true(error ? text && strstr(text, error) : !text);
	json_object_put(o);
}

static void of_two_that_went_on_neither_acknowledges(void **state)
{
	struct pair *p = *state;
	struct fake_session *s;

	lines_keep();
	s = split(p);
	WAIT_FOR(p, records_split(&p->a.daemon, "kv") && records_split(&p->b.daemon, "kv"));
	pair_run(p, 300);
	assert_int_equal(s->rec.committed, 0);
	assert_false(fake_allows(s));
	assert_true(lines_with("SPLIT BRAIN of kv") >= 2);
	lines_drop();
	shows(&p->a, "split-brain", "cptdevctl forget --force kv");
	shows(&p->b, "split-brain", "cptdevctl forget --force kv");
	/* B's side is given up. */
	assert_int_equal(records_forget(&p->b.daemon, "kv"), 0);
	WAIT_FOR(p, pair_committed(s));
	assert_false(records_split(&p->a.daemon, "kv") || records_split(&p->b.daemon, "kv"));
	shows(&p->a, "ok", NULL);
	assert_int_equal(record_of(&p->b.daemon, "kv")->term, 2);
	assert_false(s->fenced);
	assert_true(fake_allows(s));
	assert_true(fake_same(fake_replica(&p->b.fake, "kv"), s));
}

/* Also the host that refuses the other one's program because of its own. */
static void both_know_of_it(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = fed(p);

	assert_int_equal(promoted(&p->b, 0), 2);
	fake_session_with(&p->b.fake, "kv", 10, 2, 0);
	fake_session_end_by(&p->a.fake, s, CPTDEV_END_KILLED, 9);
	fake_session_with(&p->a.fake, "kv", 10, 2, 0);
	WAIT_FOR(p, records_split(&p->a.daemon, "kv") && records_split(&p->b.daemon, "kv"));
}

/* As it can be typed. */
static void what_is_advised_reaches_this_daemon(void **state)
{
	struct pair *p = *state;
	struct daemon *d = &p->a.daemon;
	char expected[256];

	snprintf(expected, sizeof(expected), "data: cptdevctl forget --force kv --socket %s/control",
		 p->a.dir);
	split(p);
	WAIT_FOR(p, records_split(d, "kv"));
	shows(&p->a, "split-brain", expected);
	assert_non_null(strstr(known_find_name(d, "kv")->barred, expected));
	strcpy(d->conf.control, "/run/a b/control");
	assert_string_equal(ADVICE(d, "alone", "kv"),
			    "cptdevctl alone kv --socket '/run/a b/control'");
	/* It looks there by itself. */
	strcpy(d->conf.control, CONTROL_SOCKET);
	assert_string_equal(ADVICE(d, "alone", "kv"), "cptdevctl alone kv");
}

/* Or A's. */
static void the_other_one_may_be_given_up(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = split(p);

	WAIT_FOR(p, records_split(&p->a.daemon, "kv") && records_split(&p->b.daemon, "kv"));
	assert_int_equal(records_forget(&p->a.daemon, "kv"), 0);
	WAIT_FOR(p, s->fenced && !records_split(&p->b.daemon, "kv"));
	assert_true(fake_replica(&p->b.fake, "kv")->promoted);
	assert_int_equal(s->rec.committed, 0);
}

/* The daemon of @h is started anew, and the other one isn't there. */
static void only(struct host *h, struct host *other)
{
	host_kill(other);
	host_kill(h);
	h->conf.sessions.alone = CONF_GO_ON;
	host_start(h);
}

/* Started anew, while nobody tells it anything, with a policy by which it would go on. */
static void a_split_brain_outlives_the_daemons(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = split(p);

	WAIT_FOR(p, records_split(&p->a.daemon, "kv") && records_split(&p->b.daemon, "kv"));
	only(&p->b, &p->a);
	assert_true(records_split(&p->b.daemon, "kv"));
	only(&p->a, &p->b);
	assert_true(records_split(&p->a.daemon, "kv"));
	shows(&p->a, "split-brain", "this host and beta both went on with term 2");
	publish_some(&p->a, s, 1, 2);
	pair_run(p, 1500);
	assert_int_equal(s->rec.committed, 0);
	assert_false(fake_allows(s));
	host_start(&p->b);
	WAIT_FOR(p, host_linked(&p->a) && host_linked(&p->b));
	pair_run(p, 100);
	assert_int_equal(s->rec.committed, 0);
	/* What is decided outlives it as well. */
	assert_int_equal(records_forget(&p->b.daemon, "kv"), 0);
	WAIT_FOR(p, !records_split(&p->a.daemon, "kv"));
	only(&p->a, &p->b);
	assert_false(records_split(&p->a.daemon, "kv"));
	WAIT_FOR(p, pair_committed(s));
}

/* The same with what a host is overtaken by that is lost. */
static void so_does_a_loss(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = overtaken_by_what_is_lost(p);

	only(&p->a, &p->b);
	publish_some(&p->a, s, 1, 3);
	pair_run(p, 1500);
	shows(&p->a, "overtaken", "cptdevctl forget --force kv, on b");
	assert_int_equal(s->rec.committed, 1);
	assert_false(fake_allows(s));
	host_start(&p->b);
	memset(p->b.daemon.boot, 0xbb, sizeof(p->b.daemon.boot));
	pair_run(p, 300);
	assert_int_equal(s->rec.committed, 1);
	assert_int_equal(records_forget(&p->b.daemon, "kv"), 0);
	WAIT_FOR(p, pair_committed(s));
}

/* Two programs of the first term: no SESSION tells of it as long as one of them stands still. */
static void what_was_decided_while_the_hosts_were_not_linked_is_heard(void **state)
{
	struct pair *p = *state;
	struct record r = { .name = "kv", .term = 1, .role = RECORD_SPARE, .generation = 3 };
	struct fake_session *s = fed(p);

	host_kill(&p->b);
	memset(r.owner, 0xee, sizeof(r.owner));
	memset(r.session, 0xee, sizeof(r.session));
	assert_int_equal(state_write(p->b.conf.state_dir, &r), 0);
	host_start(&p->b);
	WAIT_FOR(p, records_split(&p->a.daemon, "kv") && records_split(&p->b.daemon, "kv"));
	host_kill(&p->a);
	assert_int_equal(records_forget(&p->b.daemon, "kv"), 0);
	host_kill(&p->b);
	host_start(&p->b);
	host_start(&p->a);
	assert_true(records_split(&p->a.daemon, "kv"));
	publish_some(&p->a, s, 1, 2);
	WAIT_FOR(p, pair_committed(s));
	assert_false(records_split(&p->a.daemon, "kv"));
}

/* The other host is gone for good: a person goes on with what this one has. */
static void a_side_of_a_host_that_is_gone_is_given_up_here(void **state)
{
	struct pair *p = *state;
	struct fake_session *s = split(p);
	const char *why;

	WAIT_FOR(p, records_split(&p->a.daemon, "kv") && records_split(&p->b.daemon, "kv"));
	assert_int_equal(alone_say(&p->a.daemon, "kv", true, &why), -EINVAL);
	host_lose(&p->b);
	WAIT_FOR(p, host_peer(&p->a)->out.state != OUT_UP && !host_peer(&p->a)->in);
	assert_int_equal(alone_say(&p->a.daemon, "kv", false, &why), -EINVAL);
	assert_true(records_split(&p->a.daemon, "kv"));
	assert_int_equal(alone_say(&p->a.daemon, "kv", true, &why), 0);
	WAIT_FOR(p, pair_committed(s));
	/* It wasn't. */
	host_start(&p->b);
	WAIT_FOR(p, records_split(&p->a.daemon, "kv"));
	assert_false(fake_allows(s));
}

/* The record of @h loses @key, or has @value there. */
static void edit(struct host *h, const char *key, struct json_object *value)
{
	char path[CONF_PATH_MAX + 16];
	struct json_object *o;

	snprintf(path, sizeof(path), "%s/kv.json", h->conf.state_dir);
	o = json_object_from_file(path);
	assert_true(json_object_object_get_ex(o, key, NULL));
	json_object_object_del(o, key);
	if (value)
		json_object_object_add(o, key, value);
	assert_int_equal(json_object_to_file(path, o), 0);
	json_object_put(o);
}

static void records_of_older_versions_can_be_read(void **state)
{
	static const char *const keys[] = { "split", "lost_term", "other", "other_name" };
	struct pair *p = *state;
	struct fake_session *s = fed(p);
	u32 i;

	host_kill(&p->a);
	for (i = 0; i < ARRAY_SIZE(keys); i++)
		edit(&p->a, keys[i], NULL);
	host_start(&p->a);
	assert_non_null(record_of(&p->a.daemon, "kv"));
	assert_false(records_split(&p->a.daemon, "kv"));
	publish_some(&p->a, s, 1, 2);
	WAIT_FOR(p, pair_committed(s));
	host_kill(&p->a);
	/* Nobody knows for whom it stands still. */
	edit(&p->a, "split", json_object_new_boolean(true));
	host_start(&p->a);
	assert_true(records_damaged(&p->a.daemon, "kv"));
}

/* What a damaged record said isn't guessed. */
static void a_damaged_record_stops_its_name_alone(void **state)
{
	static const char *const damage[] = {
		"", "{", "{\"schema_version\":1}", "[]", "\xff\xfe",
		"{\"schema_version\":1,\"name\":\"other\",\"term\":1}",
	};
	struct pair *p = *state;
	struct fake_session *s, *o;
	char path[CONF_PATH_MAX + 16];
	size_t i;
	FILE *f;

	s = fed(p);
	for (i = 0; i < ARRAY_SIZE(damage); i++) {
		host_kill(&p->a);
		snprintf(path, sizeof(path), "%s/kv.json", p->a.conf.state_dir);
		f = fopen(path, "w");
		fputs(damage[i], f);
		fclose(f);
		host_start(&p->a);
		assert_null(record_of(&p->a.daemon, "kv"));
		shows(&p->a, "damaged", "cptdevctl forget kv");
		publish_some(&p->a, s, 1, i);
		pair_run(p, 50);
		assert_false(pair_committed(s));
	}
	o = fake_session(&p->a.fake, "other", 4);
	publish_some(&p->a, o, 0, 1);
	WAIT_FOR(p, pair_committed(o));
	assert_int_equal(records_forget(&p->a.daemon, "kv"), 0);
	WAIT_FOR(p, pair_committed(s));
}

int main(void)
{
#define T(name)	cmocka_unit_test_setup_teardown(name, pair_setup, pair_teardown)
	const struct CMUnitTest tests[] = {
		T(terms_are_on_disk),
		T(a_promotion_is_remembered_over_a_boot),
		T(what_is_given_up_alone_is_heard_later),
		T(the_program_that_was_overtaken_may_be_given_up),
		T(a_program_that_took_over_and_failed_is_lost_as_well),
		T(a_promotion_that_cannot_be_written_is_none),
		T(a_damaged_record_is_not_promoted),
		T(a_promotion_that_was_not_answered_is_undone),
		T(a_promotion_that_was_done_stays),
		T(an_empty_program_does_not_replace_what_a_spare_had),
		T(with_replace_it_does),
		T(nor_what_a_replica_has),
		T(nor_what_a_replica_will_have),
		T(a_feed_whose_record_was_given_up_has_a_new_one),
		T(a_spare_that_was_started_anew_is_fed),
		T(of_two_that_went_on_neither_acknowledges),
		T(both_know_of_it),
		T(what_is_advised_reaches_this_daemon),
		T(the_other_one_may_be_given_up),
		T(a_split_brain_outlives_the_daemons),
		T(so_does_a_loss),
		T(what_was_decided_while_the_hosts_were_not_linked_is_heard),
		T(a_side_of_a_host_that_is_gone_is_given_up_here),
		T(records_of_older_versions_can_be_read),
		T(a_damaged_record_stops_its_name_alone),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("records on disk", tests, NULL, NULL);
}
