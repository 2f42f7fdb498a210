// SPDX-License-Identifier: GPL-2.0-or-later
#include "mutants.h"
#include "sim.h"

enum mutant mutant;

const struct mutant_info mutant_info[MUTANTS] = {
	[MUTANT_NONE]		= { "none", "", "" },
	[MUTANT_CLAIM_TWICE]	= { "claim-twice", "a promotion isn't consumed",
				    "acknowledged" },
	[MUTANT_KEEP_FEEDS]	= { "keep-feeds", "feeds aren't forgotten",
				    "ended in order", 300900 },
	[MUTANT_ACK_EARLY]	= { "ack-early", "a generation is acknowledged before it is committed",
				    "acknowledged" },
	/* Leases keep it from answering; it stays in the way of the one that took over. */
	[MUTANT_LATE_FENCE]	= { "late-fence", "the fence isn't looked at before the first generation",
				    "nobody acknowledges" },
	[MUTANT_NO_LEASE]	= { "no-lease", "lease ignored", "a client reads" },
	[MUTANT_NOT_OUTDATED]	= { "not-outdated", "a spare that left in order may be promoted",
				    "acknowledged" },
	[MUTANT_TERM_LOST]	= { "term-lost", "the term isn't stored", "acknowledged" },
	[MUTANT_TERM_LATE]	= { "term-late", "the term is stored after the answer",
				    "acknowledged" },
	[MUTANT_STILL_FORGOTTEN] = { "still-forgotten",
				     "a split brain and a loss are forgotten at a restart",
				     "acknowledged" },
	[MUTANT_SWITCH_EARLY]	= { "switch-early",
				    "a spare takes over when it is asked, without the last generation",
				    "by a switch-over" },
	[MUTANT_SWITCH_SERVES]	= { "switch-serves",
				    "the old primary goes on after it agreed to stop",
				    "by a switch-over" },
	[MUTANT_KEPT_UNASKED]	= { "kept-unasked",
				    "a program goes on on the spot, whether or not the spare has taken over",
				    "acknowledged" },
	[MUTANT_KEPT_LATE]	= { "kept-late",
				    "a program goes on from what lacks an acknowledged generation",
				    "acknowledged" },
	[MUTANT_LENT_AND_KEPT]	= { "lent-and-kept",
				    "a replica that was given back may be promoted", "acknowledged" },
	[MUTANT_TAKE_WHAT_LACKS] = { "take-what-lacks",
				     "a state is taken back from who lacks a part of it",
				     "acknowledged", 3800 },
	[MUTANT_VERIFY_EARLY]	= { "verify-early",
				    "pages count for a comparison before their delta is sent", "verify of" },
	[MUTANT_SWAP_EARLY]	= { "swap-early", "a spare is replaced that may still be promoted",
				    "acknowledged" },
	[MUTANT_SWAP_UNREAD]	= { "swap-unread", "the record of a host that is replaced isn't read",
				    "acknowledged" },
	[MUTANT_SWAP_BACK]	= { "swap-back", "a spare that comes back after another one isn't outdated",
				    "acknowledged" },
};

void __real_feeds_drop(struct peer *p, const char *name);
void __real_feeds_listed(struct peer *p);
int __real_delta_frame(struct delta *d, struct conn *c, u32 channel);
int __real_kernel_ack(struct kernel *k, int dev, u64 id, u64 generation, u32 flags);
int __real_records_leave(struct daemon *d, struct in *in);
bool __real_record_lacked(const struct record *r, const u8 *node);
void __real_sums_page(struct sums *s, u64 generation, u64 addr, u64 sum);

void __wrap_sums_page(struct sums *s, u64 generation, u64 addr, u64 sum)
{
	__real_sums_page(s, generation - (mutant == MUTANT_VERIFY_EARLY), addr, sum);
}

bool __wrap_record_lacked(const struct record *r, const u8 *node)
{
	return mutant == MUTANT_SWAP_BACK ? r->alone_since : __real_record_lacked(r, node);
}

int __wrap_records_leave(struct daemon *d, struct in *in)
{
	return mutant == MUTANT_NOT_OUTDATED ? 0 : __real_records_leave(d, in);
}

void __wrap_feeds_drop(struct peer *p, const char *name)
{
	if (mutant != MUTANT_KEEP_FEEDS)
		__real_feeds_drop(p, name);
}

void __wrap_feeds_listed(struct peer *p)
{
	if (mutant != MUTANT_KEEP_FEEDS)
		__real_feeds_listed(p);
}

/* The spare's program goes by what the kernel was told, so it is told too early. */
int __wrap_delta_frame(struct delta *d, struct conn *c, u32 channel)
{
	int ret = __real_delta_frame(d, c, channel);
	struct out *o = c->owner;
	struct ship *s;

	if (mutant != MUTANT_ACK_EARLY || ret || d->phase != DELTA_DONE)
		return ret;
	TAILQ_FOREACH(s, &o->ships, entry)
		if (s->delta == d)
			kernel_ack(d->kernel, s->dev, s->session->rec.id, d->info.generation, 0);
	return ret;
}

/* All that the engine is told goes through here. */
int __wrap_kernel_ack(struct kernel *k, int dev, u64 id, u64 generation, u32 flags)
{
	if (mutant == MUTANT_LATE_FENCE && flags & CPTDEV_ACK_FENCED &&
	    !engine_published(sim.cur, id))
		return 0;
	return __real_kernel_ack(k, dev, id, generation, flags);
}
