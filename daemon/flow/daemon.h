/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The daemon: what it knows, and who calls whom. Nothing is global, so that a test can
 * run two of them.
 *
 *   kernel events -> known.c -> out.c, ship.c  -> conn.c -> the peer
 *   the peer -> conn.c -> in.c, chan.c, collect.c -> the replica
 *                           in.c -> peer.c, failover.c: is the peer alive?
 *   known.c, ship.c, peer.c -> alone.c, lease.c: may the session go on?
 *   start.c -> takeback.c -> the peer's source.c: a program's state comes back
 *   known.c, ends.c, takeback.c -> keep.c: it never was away
 *   ctl.c -> switching.c -> the peer's handover.c: a service is moved
 *   ctl.c -> fetch.c -> the peer's lend.c: a program begins from a replica of the peer's
 *   ctl.c -> verify.c -> the peer's compare.c: is the replica what was sent?
 *   control socket -> ctl.c -> status.c
 */
#ifndef CPTDEVD_DAEMON_H
#define CPTDEVD_DAEMON_H

#include <sys/queue.h>

#include "acceptor.h"
#include "boottime.h"
#include "conf.h"
#include "conn.h"
#include "delta.h"
#include "detector.h"
#include "fence_command.h"
#include "fetch.h"
#include "fsm.h"
#include "greeting.h"
#include "image.h"
#include "kernel.h"
#include "lag.h"
#include "lease.h"
#include "loop.h"
#include "rate.h"
#include "record.h"
#include "resolve.h"
#include "start.h"
#include "switching.h"
#include "sums.h"
#include "tell.h"
#include "thin.h"
#include "verify.h"

/* Deltas of one session that may be on their way at a time. */
#define SHIP_WINDOW	2

struct daemon;
struct json_object;
struct peer;

/* A session of this host, as the kernel tells. */
struct known {
	LIST_ENTRY(known) entry;
	TAILQ_HEAD(known_ships, ship) ships;	/* to each spare, in the order in which they came */
	struct session_rec rec;
	bool seen;			/* in the dump that is going on */
	bool told;			/* that there is no room to ship it */
	u64 told_term;			/* the peer knows that it has */
	bool decided;			/* whether it may be acknowledged */
	bool undecided;			/* but the record can't be written yet */
	bool stopping;			/* it is being switched over: it answers nobody */
	bool keeps;			/* the engine was told to keep its generations */
	bool blocked;			/* the kernel was told that it is barred, or stopped */
	bool alone;			/* it is acknowledged without a spare */
	bool followed;			/* it had a spare, so whom it took over from is fenced */
	bool look;			/* at its spares: members.c */
	u64 without;			/* it has had no spare since, ns */
	u64 lease_until;		/* ns, 0: no lease is in use */
	u8 lender[CPTDEV_UUID_LEN];	/* the node whose answers lend it time */
	bool lease_told;		/* that it has run out */
	bool limited;			/* a snapshot has failed: there was no room for its pages */
	char barred[720];		/* why it isn't shipped, whoever is linked; empty: it is */
	char fence_why[WIRE_TEXT_MAX + 1];	/* it couldn't be fenced yet */
	struct {			/* checkpoints are held off, see holdoff.c */
		u64 until;		/* ns, 0: they aren't */
		u64 since_wall;		/* ns, CLOCK_REALTIME */
	} off;
	struct sums *sums;		/* of the pages that were sent; NULL: none were */
};

/* A replica of this host, as the kernel tells. */
struct held {
	LIST_ENTRY(held) entry;
	char name[CPTDEV_NAME_MAX];
	u64 term;
	u64 told;			/* the term that the peer was told */
	u32 waiters;			/* when it was asked last */
	bool seen;			/* in the dump that is going on */
};

#define RECORDED_BUCKETS	256U

/* The record of a name, see records.c. */
struct recorded {
	LIST_ENTRY(recorded) entry;
	LIST_ENTRY(recorded) bucket;
	struct record r;
	bool stored;			/* there is a file */
	bool damaged;			/* that can't be read: only the name is known */
	bool changed;			/* the generation is newer than on disk */
	bool told_again;		/* why it stands still was told on this link, too */
	bool old_ended;			/* the program that was taken over from had ended */
	/* takeback.c */
	bool wants_back;		/* a program has asked for what was lost */
	u64 wanted_at;			/* it asked, or was seen waiting, ns */
	u64 asked_back;			/* the other host was asked, ns; 0: not for this program */
	char not_given[WIRE_TEXT_MAX + 1];	/* why it refuses; told once */
	bool asked_kept;		/* only whether it has taken over: this host has the state */
	u64 agreed;			/* it doesn't promote what has a lower term, 0: it hasn't said so */
	/* keep.c */
	u64 back_until;			/* the spare's host hears of the failure then, ns; 0: it has */
	u64 keep_until;			/* the kept replica is removed then, ns; 0: it isn't */
	u64 kept_on;			/* links that were made to the spare at the failure; 0: it wasn't linked */
	char failed_how[64];
};

enum rounds_step {
	ROUNDS_NONE,			/* not yet, or there is no need */
	ROUNDS_PASS,			/* a pass is under way */
	ROUNDS_LAST,			/* all but what completes them was sent */
	ROUNDS_OFF,			/* they have failed: everything is sent at once */
};

/* A spare that has nothing gets everything in parts, see rounds.c. */
struct rounds {
	enum rounds_step step;
	struct timer again;		/* the program's memory was busy */
	u64 base;			/* of the pass under way */
	u64 pass;			/* its generation, 0: its first round comes */
	u64 addr;			/* where its next round begins */
	u64 pages;			/* that it had so far */
	u64 before;			/* and the pass before it had */
	u32 passes;			/* that are complete */
	u32 busy;			/* attempts in a row that came to nothing */
	u64 last;			/* newest generation of a round */
	u64 over;			/* the last pass that is over, but not sent; 0: all are */
	u64 over_base;			/* of the first one of those */
	bool round;			/* the delta that is fetched is a round */
	bool open;			/* the peer has parts that aren't committed */
};

/* A session on its way to the peer. */
struct ship {
	TAILQ_ENTRY(ship) entry;	/* of the link */
	TAILQ_ENTRY(ship) of_session;
	struct out *out;
	struct known *session;
	u32 channel;
	unsigned int state;		/* enum ship_state */
	int dev;			/* stands for the spare, -1: not attached */
	bool following;			/* the kernel knows that it does */
	struct delta *delta;		/* SHIP_SENDING */
	struct msg_state peer;		/* what the spare said last */
	u64 since;			/* newest generation that was sent */
	u64 asked;			/* newest published one at a DELTA that gave none */
	bool lacks;			/* nothing that is kept reaches back to the spare */
	bool spared;			/* and other spares suffice for what was published */
	bool followed;			/* SESSION_STATE said so */
	bool was_member;		/* before that */
	bool outdated;			/* the spare can't be promoted before its next commit */
	bool goes_on;			/* it was told that we go on if it leaves in order */
	u16 told;			/* flags of the last SESSION: WIRE_SESSION_OTHERS, UNSURE */
	bool ask_again;			/* they aren't right any more */
	bool member;			/* it may be promoted, see members.c */
	bool ready;			/* it has caught up, and isn't a member yet */
	u64 needs_since;		/* a checkpoint, ns; 0: it needs none */
	u64 window[SHIP_WINDOW];	/* sent and not committed, oldest first */
	bool window_alone[SHIP_WINDOW];	/* the session was alone when it was fetched */
	u32 caught_up;			/* commits while the session is alone */
	unsigned int in_flight;
	u64 committed;
	u64 bytes;			/* of pages, sent */
	u64 wire;			/* of the frames that they were sent in */
	u64 full_copies;		/* deltas that had everything */
	u32 owner;			/* of the pages in the link's shadow, 0: none are its */
	u64 layout;			/* of the last delta that was sent, see delta.h */
	u32 back_off_ms;
	struct timer retry;
	struct garbage garbage;
	struct fault last;		/* why it isn't shipped, or wasn't */
	struct lag lag;
	struct rounds rounds;
	bool copying;			/* everything is sent anew: verify.c */
	u64 copy_generation;		/* by this delta; 0: it isn't fetched yet */
	struct verify_question question;
};

/* The link on which this host ships. */
struct out {
	struct daemon *d;
	struct peer *peer;
	unsigned int state;		/* enum out_state */
	struct watch connecting;
	struct conn *conn;
	struct timer retry;
	struct timer tick;
	u32 back_off_ms;
	struct sockaddr_storage trying;	/* or connected to */
	u32 next_channel;
	TAILQ_HEAD(ship_list, ship) ships;
	struct ship *head;		/* whose BEGIN isn't complete */
	TAILQ_HEAD(source_list, source) sources;	/* source.c */
	bool turn;			/* theirs, rather than the sessions' */
	struct node node;		/* the other end, once it has said so */
	u64 features;			/* that were agreed on */
	bool listed;			/* the peer knows that it has all sessions */
	bool ends_told;			/* and of those that ended before the link */
	u64 answered;			/* when the newest heartbeat that was answered was sent, ns */
	u32 heartbeat_ms;		/* what both are content with */
	u32 told_timeout_ms;		/* that the other end knows of this one */
	/* address.c, if the peer is given by name: */
	struct resolver resolver;
	struct sockaddr_storage addr[RESOLVED_MAX];
	u32 nr_addr;
	u32 next_addr;			/* which is tried next */
	char unknown[256];		/* why there is none */
	struct fault last;
	struct thin thin;
	u64 attempts;			/* to connect; none while no address is known */
	u64 connects;
	struct rate rate;
};

/* A session of the peer, replayed. */
struct chan {
	LIST_ENTRY(chan) entry;
	struct in *in;
	u32 number;
	unsigned int state;		/* enum chan_state */
	int fd;				/* the replica, -1: not open */
	struct msg_session session;
	bool replaces;			/* another session's content */
	u64 staging;			/* generation that was begun */
	u64 base;			/* what its delta goes on from */
	bool alone;			/* data is acknowledged that it lacks */
	u64 end;			/* where its last extent ended */
	u64 committed;
	u64 pages;			/* staged so far */
	u64 expected;			/* of which BEGIN said so many */
	/* There was no room for a delta, see room.c */
	u64 short_pages;		/* so many it had */
	bool short_limit;		/* a limit was reached, not the end of memory */
	u32 short_ms;			/* the next one is let through after this, 0: room */
	u64 short_until;		/* ns */
	struct fault last;
};

/* What comes between BEGIN and the first page. One per link. */
struct collect {
	struct chan *chan;		/* whose it is, NULL: nobody's */
	struct msg_begin begin;
	struct cptdev_segment *segments;
	u32 nr_segments;
	u64 end;
	u8 *meta;
	u32 meta_len;
};

/* A connection that somebody made to us. */
struct in {
	LIST_ENTRY(in) entry;
	struct daemon *d;
	struct conn *conn;
	struct peer *peer;		/* once it has said HELLO */
	unsigned int state;		/* enum in_state */
	struct sockaddr_storage from;
	char address[64];
	char host[64];			/* the same without the port */
	struct node node;
	u64 features;			/* that were agreed on */
	u32 heartbeat_ms;
	u64 lease_ns;			/* how long an answer lends, 0: the peer knows no leases */
	struct timer tick;
	LIST_HEAD(chan_list, chan) channels;
	u32 nr_channels;
	struct collect collect;
	struct garbage garbage;
	struct rate rate;
};

/* A replica that the peer feeds. */
struct feed {
	LIST_ENTRY(feed) entry;
	char name[CPTDEV_NAME_MAX];
	bool failed;			/* its program did, while its host lives */
	bool decided;			/* the peer is dead, or it failed: this is done with */
	bool named;			/* by a session, on the present link */
};

/* Another host. */
struct peer {
	LIST_ENTRY(peer) entry;
	struct daemon *d;
	u32 slot;			/* of conf.peers */
	bool gone;			/* it isn't configured any more */
	struct timer remove;
	struct out out;
	struct in *in;			/* its present link to us */
	struct node node;		/* as it called itself in HELLO */
	struct detector detector;
	struct timer tick;
	LIST_HEAD(feed_list, feed) feeds;
	u32 nr_feeds;
	bool moving;			/* whether it is another one isn't known yet, see moved.c */
	u64 looked_at;			/* for programs that wait, ns */
	u64 lent_until;			/* it may rely on its lease until then, ns */
	u8 lent_to[CPTDEV_UUID_LEN];	/* the node that was lent time last */
	u64 lent_before;		/* the same of the nodes before it, which were others */
	struct fence_command fence;	/* makes sure that its host is off */
	/* Where its host was last: ss_family 0: never. */
	struct sockaddr_storage linked_to;
	struct sockaddr_storage linked_from;
	struct failover_times {
		u64 heard;		/* ns, clock_mono() */
		u64 decided;
		u64 promoted;
		u64 decided_wall;	/* ns, CLOCK_REALTIME */
		u32 replicas;		/* promoted by this daemon, */
		u32 by_hand;		/* and by others after it had decided */
	} failover;
};

/* The last one on this host. */
struct promotion {
	char name[CPTDEV_NAME_MAX];	/* empty: there was none */
	u64 generation;
	u64 term;
	u64 wall;			/* ns, CLOCK_REALTIME */
	bool own;			/* this daemon's failover, else another process */
};

struct client;				/* of the control socket, ctl.c */

struct daemon {
	struct conf conf;
	char conf_error[256];		/* why the last change of it wasn't taken */
	struct kernel *kernel;
	struct node self;
	struct loop loop;
	struct teller tell;
	struct pack pack;
	struct tls_keys *keys;		/* each link needs one of them; NULL: links are plain */
	u64 started;
	bool module;			/* it is loaded */
	struct watch events;
	int events_fd;			/* also while it isn't watched */
	struct timer redump;
	u64 dumped_at;
	LIST_HEAD(known_list, known) sessions;
	LIST_HEAD(held_list, held) replicas;
	bool complete;			/* all sessions of the kernel are known */
	LIST_HEAD(recorded_list, recorded) records;
	LIST_HEAD(recorded_bucket, recorded) recorded[RECORDED_BUCKETS];	/* the same by name */
	struct timer flush;		/* generations to disk */
	u8 boot[CPTDEV_UUID_LEN];	/* of this kernel */
	struct timer fence_retry;
	struct timer alone;
	struct timer members;
	struct timer take_back;
	struct timer keep;
	LIST_HEAD(switch_list, switchover) switches;
	struct timer switching;
	LIST_HEAD(fetch_list, fetch) fetches;	/* programs of this host */
	LIST_HEAD(lend_list, lend) lends;	/* replicas of this host */
	u32 last_fetch;
	LIST_HEAD(peer_list, peer) peers;
	struct promotion promotion;
	char own_promotion[CPTDEV_NAME_MAX + 24];	/* name and term of our last one */
	struct acceptor listener;
	u16 listen_port;		/* which it is, if the kernel chose */
	struct timer listen_retry;
	int listen_err;			/* errno: it isn't there yet, 0: it is */
	LIST_HEAD(in_list, in) ins;
	struct acceptor control;
	struct timer control_retry;
	int control_err;		/* errno: it isn't there yet, 0: it is */
	LIST_HEAD(client_list, client) clients;	/* the newest first */
	u32 nr_clients;
	u32 nr_monitors;		/* of them */
	bool stopping;
	struct timer hold_off;		/* the next end of one */
	LIST_HEAD(verify_list, verify) verifies;	/* of each name the last one */
	struct timer verifying;
	struct sums_budget checksums;
};

/* daemon.c */
int daemon_open(struct daemon *d, const struct conf *conf, struct kernel *k);
void daemon_close(struct daemon *d);
/* Read the file of the keys anew. -1: told, and they stay as they were. */
int daemon_keys(struct daemon *d);
/* Say BYE; true as long as it isn't said to all. */
void daemon_stop(struct daemon *d);
bool daemon_busy(const struct daemon *d);

/* node.c: who this host is */
void node_self(struct node *n, const struct conf *conf);
/* Features that the configuration takes away: from the next greeting on. */
u64 node_without(const struct conf *conf);

/* known.c */
int known_open(struct daemon *d);
void known_close(struct daemon *d);
/* Ask the kernel for all sessions and replicas. */
void known_refresh(struct daemon *d);
struct known *known_find_name(struct daemon *d, const char *name);
/* Where the checksums of its pages are kept, or NULL: none are. */
struct sums *known_sums(struct daemon *d, struct known *k);

/* holdoff.c: no checkpoints of a session for a while, by word of a person */
#define HOLD_OFF_S	60U		/* unless another time is given */
#define HOLD_OFF_S_MAX	3600U

void holdoff_open(struct daemon *d);
void holdoff_close(struct daemon *d);
/* Hold off for @seconds from now. NULL, or the code of a refusal and @why. */
const char *holdoff_begin(struct daemon *d, const char *name, u32 seconds, char *why, size_t size);
/* The program may take checkpoints again. The same. */
const char *holdoff_end(struct daemon *d, const char *name, char *why, size_t size);

/* held.c */
struct held *held_find(struct daemon *d, const char *name);
void held_event(struct daemon *d, const struct kernel_event *ev);
/* Ask the kernel for all of them: 0 or a negative errno, ENOENT without the module. */
int held_refresh(struct daemon *d);
void held_close(struct daemon *d);

/* rounds.c */
void rounds_init(struct ship *s);
/*
 * The next round: a descriptor; -ENODATA: there is none (any more); -EAGAIN: later, the ship gets
 * SHIP_SNAPSHOT then; another negative errno.
 */
int rounds_fetch(struct ship *s);
/* What was published after the last pass: a descriptor or a negative errno, as of kernel_delta(). */
int rounds_last(struct ship *s);
/* The delta of the ship is part of a first image. */
void rounds_part(struct ship *s);
/* It was sent. */
void rounds_sent(struct ship *s);
/* Begin anew. @tell: the peer is to forget what it has of them. */
void rounds_drop(struct ship *s, bool tell);
/* What was tried in rounds didn't work: not again on this link. */
void rounds_failed(struct ship *s);

/* fence.c */
void fence_open(struct daemon *d);
void fence_close(struct daemon *d);
/* Tell the kernel; told once. */
void fence_session(struct daemon *d, struct known *k, const char *why);
/* The highest term of the name that this host knows, @but a session apart; 0: none. */
u64 fence_highest(struct daemon *d, const char *name, const struct known *but);
/*
 * The peer tells a term that promotions don't explain: the link is at fault, and nothing follows from
 * what it says. 0 or -1.
 */
int fence_told(struct daemon *d, const char *name, u64 term, struct fault *f);
/* @who has @term: sessions of this name that have a lower one are fenced. */
void fence_below(struct daemon *d, const char *name, u64 term, const char *who);
/* The same for one session or replica that is new or has changed; and tell the peer. */
void fence_known_term(struct daemon *d, struct known *k);
void fence_held(struct daemon *d, struct held *h);
/* Tell the other end of a new link what is known. */
void fence_greet(struct daemon *d, struct conn *c);
/* TERM, to one link or to all. */
void fence_send(struct daemon *d, struct conn *c, const char *name, u64 term, const u8 *owner,
		u16 flags);
void fence_announce(struct daemon *d, const char *name, u64 term, const u8 *owner, u16 flags);
/* Whose term it is, as far as this host knows; zeros: nothing follows from it so far. */
const u8 *fence_owner(struct daemon *d, const char *name, u64 term);
int fence_frame(struct daemon *d, const struct node *from, u64 features, const u8 *payload,
		u32 len, struct fault *f);

/* records.c */
int records_open(struct daemon *d);
/* Put it on disk, then in the list: 0 or a negative errno, which was told. */
int records_write(struct daemon *d, const struct record *r);
void records_close(struct daemon *d);
/* NULL: there is none, or it is damaged. */
const struct record *record_of(struct daemon *d, const char *name);
/* May the session be acknowledged? @k->barred says why not. Decided once. */
void records_session(struct daemon *d, struct known *k);
/* So much is acknowledged, or about to be answered as committed: 0 or a negative errno. */
int records_progress(struct daemon *d, const char *name, const u8 *session, u64 generation);
/* The same for a spare that stays outdated. */
void records_progress_alone(struct daemon *d, const char *name, const u8 *session,
			    u64 generation);
/* May a session of the peer feed this host? 0, or -1 with the fault for its answer. */
int records_may_feed(struct daemon *d, const struct msg_session *m, const char *from,
		     struct fault *f);
/* The same, and it is written down that it does. */
int records_feed(struct daemon *d, const struct msg_session *m, const char *from,
		 struct fault *f);
/* Before and after a promotion. @term: 0 for the next one, becomes which it is. */
int records_promote(struct daemon *d, const char *name, u64 *term,
		    const struct cptdev_image_info *replica, bool force);
void records_promoted(struct daemon *d, const char *name, bool done);
void records_promoted_by_others(struct daemon *d, const char *name, u64 term, u64 generation);
/* A pair that another host knows. */
void records_met(struct daemon *d, const char *name, u64 term, const u8 *owner,
		 const char *who);
void records_greet(struct daemon *d, struct conn *c);
struct recorded *recorded_find(struct daemon *d, const char *name);
/*
 * The name stands still, or may go on again: on disk before anything is answered. A record that
 * can't be written is tried again.
 */
void records_still(struct daemon *d, struct recorded *e, const struct record *new);
/* Why, and the command that decides. */
#define STILL_TEXT_MAX	640
void records_still_text(const struct daemon *d, const struct record *r,
			char text[STILL_TEXT_MAX]);
/* Tell the kernel whether its program may answer: 0 or a negative errno, which was told. */
int records_block(struct daemon *d, struct known *k);
/* The name is handed over to another node: 0 or a negative errno. And that is known to be over. */
int records_hand(struct daemon *d, const char *name, const u8 *node, const char *node_name);
void records_kept(struct daemon *d, struct recorded *e);
/* Whether the sessions of this name are acknowledged is decided anew. */
void records_decide(struct daemon *d, const char *name);
/*
 * What was acknowledged under the name may be lost: a person said so. In a split brain this
 * host's data is given up: its program is fenced, its replica removed. Else -EBUSY: the record is of
 * a program that lives; -EREMCHG: an outdated replica is here.
 */
int records_forget(struct daemon *d, const char *name);
/* What was written last didn't come to be: as before, NULL: there was none. */
void records_undo(struct daemon *d, const char *name, const struct record *before);
bool records_split(struct daemon *d, const char *name);
/* A program stands still here, see lost.c. */
bool records_overtaken(struct daemon *d, const char *name);
/* A spare, @node, follows the session; it left in order; the session is acknowledged without one. */
int records_follow(struct daemon *d, const char *name, const struct node *node);
int records_left(struct daemon *d, const char *name, const u8 *node);
/* It isn't waited for any more. */
int records_unfollow(struct daemon *d, const char *name, const u8 *node);
/* The policy that a person gave, empty: that of the configuration counts again. */
int records_ack(struct daemon *d, const char *name, const char *ack);
int records_alone(struct daemon *d, const char *name, bool said);
/* This host leaves in order: what the link feeds, and whose primary goes on, is outdated. */
int records_leave(struct daemon *d, struct in *in);
bool records_is_outdated(struct daemon *d, const char *name);
/* The primary says that the replica has all that was acknowledged: 0 or a negative errno. */
int records_sure(struct daemon *d, const char *name);
/* The replica isn't the only one that may be promoted. */
bool records_has_others(struct daemon *d, const char *name);
bool records_damaged(struct daemon *d, const char *name);
/* A person removed the replica: what it was fed isn't relied on any more. */
void records_replica_gone(struct daemon *d, const char *name);

/* start.c: a program asks before it starts */
struct start_text {
	u64 term;			/* which a program that begins anew takes, at least */
	char text[720];			/* why, and the commands that decide */
};

enum start_answer start_asked(struct daemon *d, const char *name, struct start_text *t);

/* keep.c: what this host's programs had, kept for their restart */
void keep_open(struct daemon *d);
void keep_close(struct daemon *d);
/* The session is new or has changed. */
void keep_session(struct daemon *d, struct known *k);
/* The configuration was read anew. */
void keep_reload(struct daemon *d);
/* Its program has failed, as @text says. True: the spare's host is told later, if it isn't back by then. */
bool keep_failed(struct daemon *d, const char *name, const char *text);
/* Another host has gone on: what is kept is a copy until this host is fed, for its time at most. */
void keep_overtaken(struct daemon *d, const char *name);
/* It ended while its daemon was away. */
void keep_missed(struct daemon *d, const char *name);
/* Is the other host not to be told yet? */
bool keep_waits(const struct recorded *e);
/* All that are waited for: tell their spares' hosts now. */
void keep_give_up(struct daemon *d);
/* Nobody goes on from what was kept. */
void keep_drop(struct daemon *d, const char *name, const char *why);
/* Has this host everything that a program of this record would have to go on from? */
bool keep_has(struct daemon *d, const struct record *r);
/* The same, and it may be used: the spare can be asked, if one could be promoted. */
bool keep_offers(struct daemon *d, const struct record *r);
/* Memory of the kept replica, and until when it is kept; NULL: there is none. */
struct json_object *keep_json(struct daemon *d, const struct recorded *e);

/* takeback.c: what this host lost, and its spare has */
void takeback_open(struct daemon *d);
void takeback_close(struct daemon *d);
/* A program asks for it, and will wait for the promotion. */
void takeback_want(struct daemon *d, const char *name);
/* The peer that was its spare, if that is linked; else one that is; else any. */
struct peer *takeback_peer(struct daemon *d, const struct record *r);
/* Is another host linked than the spare that followed last? It may have a copy of an earlier time. */
bool takeback_elsewhere(struct daemon *d, const struct record *r);
/* Look now whether everything is there, or whether the other host can be asked. */
void takeback_look(struct daemon *d);
/* Is the session what this host has asked for? 0, or -1 with the fault for its answer. */
int takeback_may(struct daemon *d, const struct msg_session *m, struct fault *f);
/* The answer of the other host. */
int takeback_frame(struct out *o, const u8 *payload, u32 len);

/* source.c: a replica of this host goes back to the primary's host, which lost its memory */
/* The question. */
int source_frame(struct in *in, const u8 *payload, u32 len);
/* Is the replica on its way? It isn't promoted meanwhile. */
bool source_gives(struct daemon *d, const char *name);
void source_stop(struct daemon *d, const char *name, const char *why);
/* All of the link. */
void source_close(struct out *o);
bool source_takes(struct out *o, u32 channel);
int source_answer(struct out *o, const struct frame *f, const u8 *payload);
/* Is a BEGIN of theirs not complete? */
bool source_in_head(struct out *o);
/* Add a frame; false: there is none. */
bool source_pull(struct out *o);

/* ends.c: programs that end */
/* The session is gone: CPTDEV_END_* and its code. */
void ends_session(struct daemon *d, const struct known *k, u32 end, u32 code);
/* It hangs, and counts as failed; it is fenced. */
void ends_hung(struct daemon *d, const struct known *k);
/* A dump is complete: sessions that ended while the daemon was away are written down. */
void ends_missed(struct daemon *d);
/* A link is up: before any session is announced, and when all of them are known. */
void ends_before(struct out *o);
void ends_listed(struct out *o);
/* The program of the record failed some time ago, and isn't back. */
void ends_failed(struct daemon *d, const struct record *r, const char *text);
int ends_frame(struct in *in, const u8 *payload, u32 len);

/*
 * advice.c: "cptdevctl @verb @name", for this daemon. For another host's the control socket isn't known.
 */
struct advice {
	char text[256];
};

const char *advice(const struct daemon *d, struct advice *a, const char *verb, const char *name);
/* Until the end of the block. */
#define ADVICE(d, verb, name)	advice(d, &(struct advice) { 0 }, verb, name)

/* lost.c */
/* A person has decided. */
void lost_resolve(struct daemon *d, struct recorded *e);
/* WIRE_TERM_LOST, or 0. */
u16 lost_flag(struct daemon *d, const char *name, u64 term);
/* TERM with flags. True: nobody is fenced because of it. */
bool lost_met(struct daemon *d, const struct msg_term *m, const char *who);
/* Would the session be fed over what this host has lost? 0 or -1. */
int lost_feed(struct daemon *d, const struct msg_session *m, struct fault *f);
/* The peer's TERMs begin anew with a link; they are complete. */
void lost_begin(struct daemon *d);
void lost_complete(struct daemon *d, const u8 *node);

/* lease.c: 0 or a negative errno */
/* Before a spare follows: the session has a lease from now on, if one is used. */
int lease_begin(struct out *o, struct known *k);
void lease_stop(struct daemon *d, struct known *k);
/* A heartbeat that was sent at @sent was answered. */
void lease_answered(struct out *o, u64 sent);
u64 lease_look(struct daemon *d);
void lease_reload(struct out *o);

/* hung.c: the record of a session has changed; @was it hung before? */
void hung_look(struct daemon *d, struct known *k, bool was);

/* alone.c */
void alone_open(struct daemon *d);
void alone_close(struct daemon *d);
/* Something changed that decides about sessions without a spare. */
void alone_look(struct daemon *d);
void alone_known(struct daemon *d, struct known *k);
/* A spare, @node, follows, nothing was fetched for it yet: 0 or a negative errno. */
int alone_end(struct daemon *d, struct known *k, const struct node *node);
/*
 * The session took over from another host than @node, which is its first spare. Until the lease of
 * that one is over its program may answer reads, if it isn't known to have ended, and this session
 * acknowledges nothing.
 */
bool alone_replaces(struct daemon *d, const struct known *k, const u8 *node);
/* It follows no more. */
void alone_lost(struct daemon *d, struct known *k);
/* A person says it: 0, or a negative errno and *@why. */
int alone_say(struct daemon *d, const char *name, bool force, const char **why);
/* The spare that the session has, or NULL. */
struct ship *alone_spare(const struct known *k);

/* members.c: several spares of a session */
struct ack_policy;
struct ack_member;

void members_open(struct daemon *d);
void members_close(struct daemon *d);
const char *members_policy_text(struct daemon *d, const char *name);
void members_policy(struct daemon *d, const char *name, struct ack_policy *p);
/* A person gives a policy, or with an empty one takes it back. 0, or a negative errno and *@why. */
int members_set(struct daemon *d, const char *name, const char *text, const char **why);
/* Is the node in the configuration as a spare of the session @name, as far as is known? */
bool members_configured(struct daemon *d, const char *name, const struct record_follower *f);
/* May the node's spare be promoted, and is waited for? */
bool members_has(struct daemon *d, const struct known *k, const u8 *node);
/* Has the session none so far? */
bool members_first(struct daemon *d, const struct known *k);
/* The flags of SESSION for the node. */
u16 members_flags(struct daemon *d, const struct known *k, const struct node *node);
/* Before they are sent, and when the spare has written them down: 0 or a negative errno. */
int members_telling(struct ship *s, u16 flags);
int members_told(struct ship *s);
/* Do the members know of this one, which isn't one yet? */
bool members_may_join(const struct ship *s);
/* Can others fulfil the policy for what was published, though @s lacks what isn't kept? */
bool members_suffice(const struct ship *s);
/* Those that count; @m has room for RECORD_FOLLOWERS_MAX. Returns their number. */
u32 members_list(struct daemon *d, const struct known *k, struct ack_member *m);
/* The newest generation that the policy allows to be acknowledged. */
u64 members_generation(struct daemon *d, const struct known *k);
/* Something has changed: acknowledge at once; soon, tell the spares, and let them join. */
void members_look(struct daemon *d, struct known *k);
void members_look_all(struct daemon *d);

/* peer.c */
int peer_open(struct daemon *d);
void peer_close(struct peer *p);
void peer_up(struct peer *p, struct in *in);
void peer_down(struct peer *p, bool bye);
/* A host refused a connection: if it is the peer's, that is alive, without a daemon. */
void peer_answered(struct peer *p, const struct sockaddr_storage *at);
/* A heartbeat that was received at @received is answered: that lends the peer time. */
void peer_lends(struct peer *p, u64 received, u64 length);
/* Whatever was lent to the peer has run out. */
bool peer_lease_over(const struct peer *p);
/* Some other node than @node may rely on a lease of this host. */
bool peer_lent_others(const struct peer *p, const u8 *node);
/* @node may, or one that isn't known. */
bool peer_lent(const struct peer *p, const u8 *node);

/* What is configured of it. */
const struct conf_peer *peer_conf(const struct peer *p);
/* The one that has this name, or may have any; NULL: none. */
struct peer *peer_of_name(struct daemon *d, const char *name);
/* Peers are as in the configuration now. @was: before. */
void peer_reload(struct daemon *d, const struct conf *was);

/* moved.c */
/* It isn't configured any more: it is left in order. */
void peer_removed(struct peer *p);
/* The configuration has another address, port or name of the peer. */
void peer_configured(struct peer *p);
/* The addresses of its name are known. */
void peer_located(struct peer *p);

/* feeds.c: the replicas that the peer feeds, and that a failover may promote */
/* Note it; false when there are too many. */
bool feeds_add(struct peer *p, const char *name);
/* Nobody is to take over any more. */
void feeds_drop(struct peer *p, const char *name);
/* The session lives, whether or not it may feed this host. */
void feeds_named(struct peer *p, const char *name);
/* A link is new: nothing was named on it so far. */
void feeds_link(struct peer *p);
/* Every session was named on the link: what wasn't has ended. */
void feeds_listed(struct peer *p);
void feeds_clear(struct peer *p);

/* failover.c */
void failover_decide(struct peer *p, u64 heard);
/* The peer is still dead, or a program of it failed: does a program wait by now? */
void failover_look_again(struct peer *p);
/* The program that fed the replica failed, while its host lives. */
void failover_failed(struct peer *p, const char *name);
void failover_ran(struct daemon *d);
/* Run on_promote, if there is one. */
void failover_command(struct daemon *d, const char *name, u64 generation, u64 term);

/* promotion.c */
/*
 * Promote the replica: the record first, then the kernel. @term: 0 for the next one; both are
 * answers as well. ENODATA: nothing was committed to it.
 */
int promotion_do(struct daemon *d, const char *name, u64 *term, u64 *generation, bool force);
/*
 * The same, and go back to the past generation *@generation, by force: what was acknowledged later is
 * given up. ESTALE, ENODATA: the replica doesn't have the generation, or not any more; EINVAL: it is
 * the newest one; EBUSY: a program reads the replica.
 */
int promotion_back(struct daemon *d, const char *name, u64 *term, u64 *generation);
/* The kernel tells that the replica was promoted. */
void promotion_seen(struct daemon *d, const struct replica_rec *r);

/* address.c */
void address_init(struct out *o);
/* Nothing is known of the peer's name any more: look it up. */
void address_forget(struct out *o);
/* Does the configuration say where the peer is? */
bool address_given(const struct out *o);
void address_look_up(struct out *o);
/* Which to try, with the port; NULL: the name isn't known, @unknown says why. */
const struct sockaddr_storage *address_next(struct out *o);
/* That was in vain, or the link is lost; true: try the next one at once. */
bool address_failed(struct out *o);
/* Is it one of the peer's? */
bool address_is(const struct out *o, const struct sockaddr_storage *from);
/* As the configuration has it. */
void address_text(const struct out *o, char *text, size_t size);

/* out.c */
void out_open(struct out *o, struct peer *p);
void out_close(struct out *o);
/* The configuration has changed. */
void out_reload(struct out *o);
/* Another node is the peer: leave this one, and connect to that. */
void out_moved(struct out *o);
void out_stop(struct out *o);
/* The other link broke: whether the peer's host lives is to be known soon. */
void out_hurry(struct out *o);
void out_known(struct out *o, struct known *k);
void out_gone(struct out *o, struct known *k);
/* The session was fenced. */
void out_fence(struct out *o, struct known *k, const char *why);
/* All sessions of this host are known: say so when they were all announced. */
void out_listed(struct out *o);
/* How pages are made shorter on the link, as the configuration has it now. */
struct thin *out_thin(struct out *o);
/* Whether frames are compressed: of that. There is a connection. */
enum thin_packs out_packs(const struct out *o);
u32 link_heartbeat_ms(const struct node *self, const struct node *other);
/* How long an answer lends: 0 when the peer knows no leases. */
u64 link_lease_ns(u64 features, u32 timeout_ms, u32 other_ms);
/* Of the checksums of DATA: 0 when the peer knows none. */
u32 link_block(u64 features, u32 page_size);

/* ship.c */
struct ship *ship_new(struct out *o, struct known *k);
/* That of the session to this node, NULL: there is none. */
struct ship *ship_find(const struct known *k, const u8 *node);
void ship_free(struct ship *s);
/* Is there a spare at the other end? */
bool ship_follows(const struct ship *s);
/* It has caught up: from now on the session relies on it, if that may be. */
void ship_join(struct ship *s);
/* -1: the peer broke the rules, the connection's fault says how. */
int ship_event(struct ship *s, unsigned int event);
int ship_frame(struct ship *s, const struct frame *f, const u8 *payload);
void ship_pull(struct ship *s);

/* listen.c */
/* 0, also when the address isn't there yet and is waited for; or a negative errno. */
int listen_open(struct daemon *d);
void listen_close(struct daemon *d);
/* After a change of the configuration: whatever is in the way is waited for. */
void listen_again(struct daemon *d);

/* reload.c */
/* Read the configuration anew; -1: it has mistakes, which were logged, and nothing changed. */
int daemon_reload(struct daemon *d, const char *path);

/* in.c */
/* The configuration was read anew. */
void in_reload(struct in *in);
void in_accept(struct daemon *d, int fd, const struct sockaddr_storage *from);
void in_close_all(struct daemon *d);
void in_stop(struct in *in);
void in_replace(struct in *in);
void in_silent(struct in *in);
void in_drop(struct in *in);
/* Connections of hosts that may not connect any more, and have not said who they are. */
void in_drop_strangers(struct daemon *d);

/* chan.c */
int chan_frame(struct in *in, const struct frame *f, const u8 *payload);
void chan_close_all(struct in *in);
void chan_close(struct chan *c);
struct chan *chan_find_name(struct in *in, const char *name);
/* The replica was removed under the channels that feed it. */
void chan_replica_gone(struct daemon *d, const char *name);
/* Is that what a channel of this term has committed last? */
bool chan_committed(struct daemon *d, const char *name, u64 term, u64 generation);

/* compare.c: VERIFY */
int compare_frame(struct chan *c, const u8 *payload, u32 len);

/* replay.c: what a channel does with its replica; 0, or -1 with @chan->last */
/* Keep as many generations of the replica as is configured. */
void replay_history(struct chan *c);
int replay_open(struct chan *c, struct msg_state *m);
int replay_begin(struct chan *c, const struct collect *col);
/* Runs are applied to the replica's pages. */
int replay_expand(struct chan *c, struct data *data);
int replay_stage(struct chan *c, const struct data *data);
int replay_commit(struct chan *c, struct msg_committed *m);
void replay_abort(struct chan *c);
void replay_close(struct chan *c);

/* room.c: 0, or -1 with @chan->last */
/* The delta that was begun found no room: @err, EDQUOT or ENOMEM. */
void room_short(struct chan *c, int err);
/* May the sender begin? */
int room_check(struct chan *c, const struct cptdev_image_info *info);
/* Is there room for a delta of so many pages? */
int room_fits(struct chan *c, u64 pages);

/* collect.c */
int collect_begin(struct collect *col, struct chan *c, const struct msg_begin *m);
int collect_layout(struct collect *col, u32 page_size, const u8 *p, u32 len,
		   struct fault *f);
int collect_meta(struct collect *col, const u8 *p, u32 len, struct fault *f);
bool collect_whole(const struct collect *col);
void collect_end(struct collect *col);

/* ctl.c */
int ctl_open(struct daemon *d);
void ctl_close(struct daemon *d);
/* A line for those who monitor. */
void ctl_news(struct daemon *d, const char *line);

/* news.c */
/*
 * How things stand, a document after the other, of which @fn frees each: the peer, and all
 * sessions and records that aren't as they should be.
 */
void news_present(struct daemon *d, void (*fn)(struct json_object *o, void *arg), void *arg);
/* Something happened to the peer; @event is one of the words of cptdevctl(8). */
void news_peer(struct peer *p, const char *event);
void news_record(struct daemon *d, const struct recorded *e, const char *event);
/* The same for a session of this host. */
void news_session(struct daemon *d, struct known *k, const char *event);

/* status.c */
struct json_object *status_json(struct daemon *d);
/* status_records.c: all, and one */
struct json_object *status_records(struct daemon *d);
struct json_object *status_record(struct daemon *d, const struct recorded *e);
/* What protects a session of this host. */
struct json_object *status_session(struct daemon *d, struct known *k);
/* status_holdoff.c: checkpoints that are held off, NULL: they aren't */
struct json_object *status_holdoff(struct daemon *d, const struct known *k);
/* status_members.c: the spares of a session */
struct json_object *status_members(struct daemon *d, const struct known *k);
/* status_policies.c: for all sessions, and for those that have a section */
struct json_object *status_policies(const struct conf *c);
/* The peer without its sessions and replicas. */
struct json_object *status_peer(struct peer *p);
/* status_verify.c: a comparison of a session's spares */
struct json_object *verify_json(const struct verify *v);
/* status_hide.c: take UUIDs and terms of whatever isn't of user @uid out of such a document. */
void status_hide(struct json_object *o, u32 uid);

#endif
