// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The engine of a host, as the daemon and its programs use it. Its sessions and replicas stay
 * when the daemon ends, and are gone with the power.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "mutants.h"
#include "sim.h"

/* Of every other page only a part changes: what changed is sent then, and not the page. */
static u32 page_part(u32 nr)
{
	return nr % 2 ? FAKE_PAGE : 64;
}

static void page_fill(u8 *page, u32 nr, u64 value)
{
	u32 i;

	for (i = 0; i < page_part(nr); i += sizeof(value))
		memcpy(page + i, &value, sizeof(value));
}

static bool page_is(const u8 *page, u32 nr, u64 value)
{
	static const u8 zeros[FAKE_PAGE];
	u32 part = page_part(nr);

	return !memcmp(page, &value, sizeof(value)) &&
		!memcmp(page, page + sizeof(value), part - sizeof(value)) &&
		!memcmp(page + part, zeros, FAKE_PAGE - part);
}

void engine_boot(struct sim_host *h)
{
	sim.cur = h;
	h->boot++;
	h->taken = 0;
	h->checked_replica = NULL;
	fake_init(&h->fake);
	h->power = true;
	sim.cur = NULL;
}

void engine_daemon_start(struct sim_host *h)
{
	sim.cur = h;
	h->daemon_start = 0;
	if (daemon_open(&h->daemon, &h->conf, &h->fake.kernel))
		sim_fail("the daemon of host %s doesn't start", h->name);
	h->runs = true;
	sim.cur = NULL;
}

void engine_daemon_kill(struct sim_host *h)
{
	sim.cur = h;
	h->dying = true;
	if (h->runs)
		daemon_close(&h->daemon);
	h->dying = false;
	h->runs = false;
	h->stopped_until = 0;
	sim.cur = NULL;
}

/* The sockets first: a daemon that is taken apart says nothing to anybody then. */
void engine_power_off(struct sim_host *h)
{
	h->power = false;
	net_power_off(h->nr);
	h->late_write = 0;
	engine_daemon_kill(h);
	sim.cur = h;
	fake_free(&h->fake);
	sim.cur = NULL;
}

struct fake_session *engine_session(struct sim_host *h, u64 term)
{
	struct fake_session *s;

	sim.cur = h;
	s = fake_session_with(&h->fake, SIM_NAME, SIM_PAGES, term, 0);
	sim.cur = NULL;
	return s;
}

void engine_session_end(struct sim_host *h, struct fake_session *s, u32 end, u32 code)
{
	sim.cur = h;
	fake_session_end_by(&h->fake, s, end, code);
	sim.cur = NULL;
}

u64 engine_publish(struct sim_host *h, struct fake_session *s, u32 state)
{
	u64 generation, value;
	u32 i;

	sim.cur = h;
	for (i = 0; i < SIM_PAGES; i++) {
		u8 *page = s->mem + (size_t)i * FAKE_PAGE;

		value = history_fill(state, i);
		if (page_is(page, i, value))
			continue;
		page_fill(page, i, value);
		s->dirty[i] = true;
	}
	generation = fake_publish(&h->fake, s);
	sim.cur = NULL;
	return generation;
}

/* The state that the pages show: it is looked at once after each commit. */
static u32 replica_state(struct sim_host *h, const struct soft_replica *r)
{
	static const u8 zeros[FAKE_PAGE];
	const u8 *page = fake_page(r, 0) ?: zeros;
	u32 state, i;

	memcpy(&state, page, sizeof(state));
	state >>= 8;
	if (!history_state(state)) {
		sim_fail("the replica of %s has a state that never was", h->name);
		return 0;
	}
	for (i = 0; i < SIM_PAGES; i++) {
		page = fake_page(r, i) ?: zeros;
		if (!page_is(page, i, history_fill(state, i)))
			sim_fail("the replica of %s is torn: page %u isn't that of state %u",
				 h->name, i, state);
	}
	return state;
}

bool engine_replica(struct sim_host *h, u32 *state, u64 *term, bool *promoted)
{
	struct soft_replica *r = h->power ? fake_replica(&h->fake, SIM_NAME) : NULL;

	if (!r || !r->rec.generation)
		return false;
	if (h->checked != r->rec.commits || h->checked_replica != r ||
	    memcmp(h->checked_uuid, r->rec.uuid, CPTDEV_UUID_LEN))
		h->checked_state = replica_state(h, r);
	memcpy(h->checked_uuid, r->rec.uuid, CPTDEV_UUID_LEN);
	h->checked = r->rec.commits;
	h->checked_replica = r;
	*state = h->checked_state;
	*term = r->rec.term;
	*promoted = r->promoted;
	return true;
}

bool engine_follows(struct sim_host *h, const struct fake_session *s)
{
	return fake_attached(&h->fake, s);
}

/* May its program acknowledge and answer now? */
bool engine_allows(struct sim_host *h, const struct fake_session *s)
{
	bool allows;

	if (mutant == MUTANT_NO_LEASE)
		return true;
	sim.cur = h;
	allows = fake_allows(s);
	sim.cur = NULL;
	return allows;
}

u64 engine_published(struct sim_host *h, u64 id)
{
	u32 i;

	for (i = 0; i < FAKE_SESSIONS; i++)
		if (h->fake.session[i].used && h->fake.session[i].rec.id == id)
			return h->fake.session[i].rec.published;
	return 0;
}

void engine_remove(struct sim_host *h)
{
	struct soft_replica *r = fake_replica(&h->fake, SIM_NAME);

	sim.cur = h;
	if (r)
		fake_replica_remove(&h->fake, r);
	h->checked_replica = NULL;
	h->taken = 0;
	sim.cur = NULL;
}

void engine_waits(struct sim_host *h, bool waits)
{
	struct soft_replica *r = fake_replica(&h->fake, SIM_NAME);

	if (r)
		r->rec.waiters = waits;
}

int engine_claim(struct sim_host *h, u64 *term)
{
	struct soft_replica *r = fake_replica(&h->fake, SIM_NAME);

	if (!r || !r->promoted)
		return -EINVAL;
	if (h->taken == r->rec.term && mutant != MUTANT_CLAIM_TWICE)
		return -EALREADY;
	*term = h->taken = r->rec.term;
	return 0;
}

/* As cptdevctl promote does: through the daemon, which writes it down first. */
int engine_promote(struct sim_host *h, bool force)
{
	u64 term = 0, generation;
	int ret;

	if (!h->runs)
		return -ENOENT;
	sim.cur = h;
	ret = promotion_do(&h->daemon, SIM_NAME, &term, &generation, force);
	sim.cur = NULL;
	return ret;
}

/* As cptdevctl forget does. */
void engine_forget(struct sim_host *h)
{
	if (!h->runs)
		return;
	sim.cur = h;
	records_forget(&h->daemon, SIM_NAME);
	sim.cur = NULL;
}
