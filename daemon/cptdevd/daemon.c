// SPDX-License-Identifier: GPL-2.0-or-later
/* Putting the parts together, and taking them apart. */
#include <string.h>

#include "daemon.h"
#include "log.h"

int daemon_keys(struct daemon *d)
{
	struct tls_keys *keys = NULL;
	char why[160];

	if (*d->conf.psk_file) {
		keys = tls_keys_read(d->conf.psk_file, d->self.uuid, why, sizeof(why));
		if (!keys) {
			log_err("[peer] psk_file %s: %s", d->conf.psk_file, why);
			return -1;
		}
	} else if (*d->conf.pki_dir) {
		keys = tls_pki_read(d->conf.pki_dir, d->conf.name, why, sizeof(why));
		if (!keys) {
			log_err("[peer] pki_dir %s: %s", d->conf.pki_dir, why);
			return -1;
		}
	}
	tls_keys_put(d->keys);
	d->keys = keys;
	return 0;
}

int daemon_open(struct daemon *d, const struct conf *conf, struct kernel *k)
{
	memset(d, 0, sizeof(*d));
	d->conf = *conf;
	d->kernel = k;
	LIST_INIT(&d->sessions);
	LIST_INIT(&d->replicas);
	LIST_INIT(&d->peers);
	LIST_INIT(&d->ins);
	LIST_INIT(&d->clients);
	LIST_INIT(&d->records);
	LIST_INIT(&d->fetches);
	LIST_INIT(&d->lends);
	d->events.fd = -1;
	acceptor_init(&d->listener);
	acceptor_init(&d->control);
	node_self(&d->self, conf);
	if (loop_open(&d->loop))
		return -1;
	d->started = d->loop.now;
	tell_open(&d->tell, &d->loop);
	if (daemon_keys(d))
		return -1;
	fence_open(d);
	alone_open(d);
	members_open(d);
	keep_open(d);
	takeback_open(d);
	switch_open(d);
	holdoff_open(d);
	verify_open(d);
	if (records_open(d))
		return -1;
	if (ctl_open(d) || listen_open(d) || peer_open(d) || known_open(d))
		return -1;
	return 0;
}

/* Also what daemon_open() left behind when it failed. */
void daemon_close(struct daemon *d)
{
	fetch_close(d);
	listen_close(d);
	in_close_all(d);
	known_close(d);
	held_close(d);
	records_close(d);
	fence_close(d);
	alone_close(d);
	members_close(d);
	takeback_close(d);
	keep_close(d);
	switch_close(d);
	holdoff_close(d);
	verify_close(d);
	while (!LIST_EMPTY(&d->peers))
		peer_close(LIST_FIRST(&d->peers));
	ctl_close(d);
	tls_keys_put(d->keys);
	pack_free(&d->pack);
	tell_close(&d->tell);
	loop_close(&d->loop);
}

void daemon_stop(struct daemon *d)
{
	struct in *in, *next;
	struct peer *p;

	keep_give_up(d);
	d->stopping = true;
	LIST_FOREACH(p, &d->peers, entry)
		out_stop(&p->out);
	for (in = LIST_FIRST(&d->ins); in; in = next) {
		next = LIST_NEXT(in, entry);
		/* A primary that goes on by this word must not be promoted over. */
		if (records_leave(d, in))
			in_drop(in);
		else
			in_stop(in);
	}
}

bool daemon_busy(const struct daemon *d)
{
	struct peer *p;

	LIST_FOREACH(p, &d->peers, entry)
		if (p->out.conn)
			return true;
	return !LIST_EMPTY(&d->ins);
}
