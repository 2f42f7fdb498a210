/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A model of the failure rules for one session name and two or three hosts, to be checked by spin(1).
 * Documentation/failure-model.rst states the rules; selftests/host/model runs the model.
 *
 * Messages are delayed, lost and duplicated. A host loses power, and with it its memory, but
 * keeps its record. Programs crash. Daemons restart. A spare leaves in order. A fence command
 * succeeds or fails. One clock is late.
 *
 * The content of memory is a set of writes, one bit each. @acked is the set of writes that
 * clients were told to be safe; only the assertions read it. A run ends when a loss is shown
 * to a person, because a person decides from there on.
 *
 * With a third host a person replaces the spare: the third takes its place, and the old one may be
 * without power, cut off, or overtaken. It comes back with its old copy, and may be the spare once more.
 *
 * THIRD	there is a third host
 * BACK		a primary that lost its memory takes it back from the spare's replica, by the steps of
 *		failure-model.rst; otherwise it gets it by one message, and the lease covers the rest
 * KEEP		with BACK: a host keeps what its program had. If the program crashes, its daemon reports that
 *		later, or the program goes on on the spot, after the other host has agreed
 * BYFENCE	a promotion needs a fence command instead of a time-out
 * GOON		policy "go on": a primary without a spare acknowledges with a flag
 * M_...	a mutant: one safeguard is missing, and an assertion must fail
 */

#ifndef MAXW
#define MAXW	2		/* writes */
#endif
#ifndef MAXT
#define MAXT	3		/* highest term */
#endif
#ifndef MAXLOSS
#define MAXLOSS	2		/* losses of memory */
#endif
#ifndef MAXCALM
#define MAXCALM	1		/* orderly leaves, restarts of daemons, duplicates */
#endif
#ifndef MAXSWAP
#define MAXSWAP	1		/* replacements of a spare */
#endif
#ifndef MAXSPOT
#define MAXSPOT	1		/* crashes of a program whose host has kept what it had */
#endif
#define LEASE	1		/* ticks */
#ifndef MARGIN
#define MARGIN	1		/* ticks by which one clock may be late, in all */
#endif

/* What a host has in memory. */
#define NONE	0
#define SPARE	1		/* a replica */
#define PROM	2		/* a promoted replica that no program has claimed */
#define PRIM	3		/* a program */
#define KEPT	4		/* what a program had that crashed, on its own host */

#ifdef THIRD
#define N	3
#else
#define N	2
#endif

bool up[N];
byte role[N];
byte has[N];
byte com[N];			/* PRIM: commits that the spare reported */
byte told[N];			/* PRIM: writes that its clients were told to be safe */
byte flagged[N];		/* writes acknowledged with the flag "alone" */
bool alone[N];			/* PRIM: may acknowledge without a spare */
byte lease[N];			/* PRIM: ticks left in which reads are answered */
byte wait[N];			/* SPARE: ticks until it may be promoted by time-out */
bool may[N];			/* SPARE: the primary is known to be dead */

/* The durable record. */
byte term[N];
byte owner[N];
bool outd[N];			/* outdated: not to be promoted */
#ifdef BACK
bool taking[N];			/* asks for its state, with a term that nothing follows from */
bool taken[N];			/* goes on from what came back, and nothing was acknowledged since */
bool lone[N];			/* acknowledged without a spare, or took over: the spare may lack something */
bool source[N];			/* outdated only since the owner has a copy */
#define TAKING(x)	taking[x]
#define NO_BACK(x)	taking[x] = 0; taken[x] = 0; lone[x] = 0
#define LONE(x)		lone[x] = 1; taken[x] = 0
#define FOLLOWED(x)	lone[x] = 0
#define TOLD(x)		taken[x] = 0
#else
#define TAKING(x)	false
#define NO_BACK(x)	skip
#define LONE(x)		skip
#define FOLLOWED(x)	skip
#define TOLD(x)		skip
#endif
bool goon[N];			/* acknowledges alone by policy "go on", and says so each time */

/* Messages, by receiver. A new message replaces one that was not delivered yet. */
mtype = { NIL, HELLO, FEED, ACK, FENCE, BYE, DIED, ASK, GIVE, BACK_ASK, KEEP_ASK, KEEP_OK };
mtype m_what[N] = NIL;
byte m_term[N];
byte m_owner[N];
byte m_has[N];
byte m_age[N];
bool m_flag[N];
byte m_conn[N];
byte conn[N];			/* the connection from which a spare accepts feeds */
byte via[N];			/* PRIM: the connection on which it sends feeds */

#ifdef THIRD
byte peer[N];			/* by configuration; itself: none */
byte m_from[N];
byte swaps;
#define PEER		peer[h]
#define IS_FROM(x, y)	m_from[x] = y
#else
#define PEER		(1 - h)
#define IS_FROM(x, y)	skip
#endif

byte writes, acked, solo, losses, calm, late;
#ifdef KEEP
byte spots;
#endif
bool shown;

#ifdef M_TERMLATE
bool unsaved[N];		/* the promotion was answered, but is not on disk */
#endif
#ifdef M_CLAIM
byte lies[N];			/* content of an old promotion */
#endif

#ifdef M_LOWER
#define IF_LOWER	(role[h] >= PROM)
#else
#define IF_LOWER	true
#endif
#ifdef M_NOLEASE
#define IF_LEASE	true
#else
#define IF_LEASE	(lease[h] > 0 || (alone[h] && !goon[h]))
#endif
/*
 * What allows a promotion: a time-out or a fence command, never both. If a primary could fence
 * a spare that is promoted by time-out, it would destroy its own successor.
 */
#ifdef BYFENCE
#define IF_WAITED	(may[h])
#else
#ifdef M_NOLEASEWAIT
#define IF_WAITED	true
#else
#define IF_WAITED	(may[h] || wait[h] == 0)
#endif
#endif
#if defined(BYFENCE) || defined(M_BOTHWAYS)
#define IF_FENCE	true
#else
#define IF_FENCE	false
#endif
#ifdef M_OUTDATED
#define IF_IN_STEP	true
#else
#define IF_IN_STEP	(!outd[h])
#endif

#ifdef M_KEPTUNASKED
#define IF_NO_RIVAL	true
#else
#define IF_NO_RIVAL	(lone[h])
#endif

#ifdef M_TAKEWHATLACKS
#define IF_WHOLE	true
#define IF_ITS_OWN	true
#else
#define IF_WHOLE	(!outd[h] || (source[h] && flag))
#define IF_ITS_OWN	(!lone[h] && !outd[h])
#endif

#define IN(a, b)	(((a) & ~(b)) == 0)
#ifdef THIRD
#define SAFE(c)		(IN(c, has[0]) || IN(c, has[1]) || IN(c, has[2]))
#else
#define SAFE(c)		(IN(c, has[0]) || IN(c, has[1]))
#endif

inline forget(x)
{
	m_what[x] = NIL; m_term[x] = 0; m_owner[x] = 0; m_has[x] = 0; m_age[x] = 0; m_flag[x] = 0; m_conn[x] = 0;
	IS_FROM(x, 0)
}

inline send(x, what, c, flag)	/* from @h */
{
	m_what[x] = what; m_term[x] = term[h]; m_owner[x] = owner[h]; m_has[x] = c;
	m_age[x] = 0; m_flag[x] = flag; IS_FROM(x, h);
	if :: what == FEED -> m_conn[x] = via[h] :: what == HELLO -> m_conn[x] = conn[h] :: else -> m_conn[x] = 0 fi
}

inline quiet(x)
{
	com[x] = 0; told[x] = 0; alone[x] = 0; lease[x] = 0
}

inline lose_memory(x)
{
	losses++; has[x] = 0; flagged[x] = 0; role[x] = NONE; quiet(x); wait[x] = 0; may[x] = 0
}

inline acknowledge(c)
{
	assert(SAFE(acked | (c)));
	acked = acked | (c); told[h] = told[h] | (c)
}

inline not_before_lease()
{
	may[h] = 0; wait[h] = LEASE;
#ifndef M_NOMARGIN
	wait[h] = LEASE + MARGIN
#endif
}

/* A higher pair is known now. The memory is kept until a feed replaces it. */
inline fenced()
{
	term[h] = t; owner[h] = ow; NO_BACK(h);
	if
	:: goon[h] ->
#ifndef M_GOONSILENT
		shown = 1
#endif
		goon[h] = 0
	:: else
	fi;
	if
	:: role[h] == NONE
	:: else ->
		role[h] = SPARE; outd[h] = 1; quiet(h);
#ifdef M_DROPONFENCE
		role[h] = NONE; has[h] = 0
#endif
	fi
}

inline got_feed()
{
	if
#ifndef M_OLDCONN
	:: cn != conn[h]	/* sent on an older connection */
#endif
	:: term[h] > t && IF_LOWER -> send(o, FENCE, 0, (role[h] == NONE))
	:: else ->
		if
		:: t > term[h] -> fenced()
		:: else
		fi;
		if
		:: shown || role[h] == PRIM || role[h] == PROM
		:: else ->
			assert(IN(flagged[h], c));	/* no loss in silence */
			term[h] = t; owner[h] = ow; role[h] = SPARE; has[h] = c; outd[h] = flag;
			NO_BACK(h);
#ifdef BACK
			source[h] = source[h] && flag;
#endif
#ifdef M_SYNCATONCE
			outd[h] = 0;
#endif
			not_before_lease();
			send(o, ACK, c, outd[h]); m_age[o] = age
		fi
	fi
}

inline got_ack()
{
	com[h] = com[h] | c;
	if
	:: alone[h] && flag && IN(told[h] | flagged[h], c) ->
		alone[h] = 0; goon[h] = 0; flagged[h] = 0; FOLLOWED(h)	/* the next feed clears outdated */
	:: else
	fi;
	if
	:: LEASE - age > lease[h] && age <= LEASE -> lease[h] = LEASE - age
	:: else
	fi
}

#ifdef BACK
/*
 * The primary's host asks for its state, with its next term. What it gets may be promoted at the
 * same moment, so this replica isn't any more. The link may end before that is written.
 */
inline got_back_ask()
{
	if
	:: role[h] == SPARE && term[h] <= t && owner[h] == o && IF_WHOLE ->
		term[h] = t;
		if
		:: true
		:: source[h] = 1;
#ifndef M_LENTANDKEPT
			outd[h] = 1;
#endif
			not_before_lease();
			send(o, GIVE, has[h], 0)
		fi
	:: role[h] == PRIM && term[h] >= t -> send(o, FEED, has[h], alone[h])
	:: else
	fi
}
#endif

#ifdef KEEP
/*
 * The primary's host has what its program had, and asks with its next term whether this host has taken
 * over. If not, this replica isn't promoted from now on: on disk before the answer.
 */
inline got_keep_ask()
{
	if
	:: (role[h] == SPARE || role[h] == NONE) && (term[h] < t || (term[h] == t && owner[h] == o)) ->
		if
		:: term[h] < t && owner[h] != o -> NO_BACK(h)
		:: else
		fi;
		term[h] = t; owner[h] = o;
		if
		:: role[h] == SPARE && !outd[h] -> source[h] = 1
		:: else
		fi;
#ifndef M_KEPTPROMOTABLE
		outd[h] = 1;
#endif
		send(o, KEEP_OK, 0, 0)
	:: role[h] == PRIM && term[h] >= t -> send(o, FEED, has[h], alone[h])
	:: role[h] == PROM && term[h] >= t -> send(o, FENCE, 0, 0)
	:: else
	fi
}
#endif

inline got_ask()
{
	if
#ifndef BACK
	:: role[h] == SPARE && !outd[h] && term[h] >= t && (owner[h] == o && term[h] > t) ->
		not_before_lease(); send(o, GIVE, has[h], 0)	/* the first answer was lost */
	:: role[h] == SPARE && !outd[h] && term[h] == t && term[h] < MAXT ->
		term[h]++; owner[h] = o; not_before_lease(); send(o, GIVE, has[h], 0)
#endif
	:: role[h] == PRIM && !alone[h] && term[h] >= t -> send(o, FEED, has[h], 0)
	:: role[h] == PRIM && alone[h] && term[h] >= t -> send(o, FEED, has[h], 1)
	:: else
	fi
}

#ifdef THIRD
/*
 * A person makes the third host the spare of @h. The old one can't be promoted any more: its host has
 * no power, or it leaves in order and isn't configured for @h any more, or it was overtaken by @h.
 * And it didn't take over before: its record says so. A person who doesn't look at the record, say
 * because the host is broken, accepts a loss.
 */
inline replace_spare()
{
	swaps++; n = 3 - h - o;
	if
#ifdef M_SWAPEARLY
	:: true
#endif
	:: !up[o] ->
		forget(o);	/* no connection outlives that */
#ifndef M_SWAPUNREAD
		if :: term[o] > term[h] -> shown = 1 :: else fi
#endif
	:: up[o] && term[o] <= term[h] && role[o] != PRIM && role[o] != PROM ->
#ifndef M_SWAPPROMOTABLE
		outd[o] = 1;
#endif
		forget(o); conn[o]++; peer[o] = o
	:: up[o] && term[o] < term[h]
	fi;
	com[h] = told[h];
	peer[h] = n; peer[n] = h; conn[n]++; via[h] = conn[n]; forget(n);
	n = 0
}
#endif

inline receive()
{
	t = m_term[h]; ow = m_owner[h]; c = m_has[h]; age = m_age[h]; flag = m_flag[h];
	what = m_what[h]; cn = m_conn[h];
#ifdef THIRD
	from = m_from[h];
#endif
	if
	:: forget(h)
	:: calm < MAXCALM -> calm++	/* a duplicate will follow */
	fi;
	if
#ifdef THIRD
	:: from != o			/* it isn't the peer by configuration */
	:: from == o && what != ASK && what != HELLO && t == term[h] && ow != owner[h] -> shown = 1	/* split brain */
#else
	:: what != ASK && what != HELLO && what != BACK_ASK && what != KEEP_ASK && t == term[h] && ow != owner[h] && !TAKING(h) -> shown = 1	/* split brain */
#endif
	:: else ->
#ifdef BACK
		/* Whoever only asks has gone on with nothing: the other one is right. */
		if
		:: taking[h] && t == term[h] && ow != owner[h] && (what == FEED || what == FENCE) ->
			owner[h] = ow; NO_BACK(h);
			if
			:: role[h] == KEPT -> role[h] = SPARE; outd[h] = 1
			:: else
			fi
		:: else
		fi;
#endif
		if
		:: what == HELLO -> via[h] = cn
		:: what == FEED -> got_feed()
		:: what == ACK && t == term[h] && role[h] == PRIM -> got_ack()
		:: what == FENCE && t > term[h] ->
			if
			:: flag -> shown = 1	/* the higher host has no memory */
			:: else -> fenced()
			fi
		:: what == BYE && t == term[h] && role[h] == PRIM -> alone[h] = 1
		:: what == DIED && role[h] == SPARE && t == term[h] -> may[h] = 1
		:: what == ASK -> got_ask()
#ifdef BACK
		:: what == BACK_ASK -> got_back_ask()
#ifdef KEEP
		:: what == KEEP_ASK -> got_keep_ask()
		:: what == KEEP_OK && role[h] == KEPT && taking[h] && t == term[h] && ow == h && term[h] < MAXT ->
			term[h]++; taking[h] = 0; taken[h] = 1; role[h] = PROM
#endif
		:: what == GIVE && role[h] == NONE && taking[h] && t == term[h] && ow == h && term[h] < MAXT ->
			/* (t + 1, h) is on disk, then what came back is promoted. */
			term[h]++; taking[h] = 0; taken[h] = 1; role[h] = PROM; has[h] = c
		:: what == GIVE
#else
		:: what == GIVE && role[h] == NONE && t > term[h] ->
			term[h] = t; owner[h] = ow; role[h] = PRIM; has[h] = c; outd[h] = 0; quiet(h)
#endif
		:: else
		fi
	fi;
	t = 0; ow = 0; c = 0; age = 0; flag = 0; what = NIL; cn = 0;
#ifdef THIRD
	from = 0
#endif
}

/* (t+1, h) is on disk, then the replica is promoted. */
inline promote()
{
	term[h]++; owner[h] = h; role[h] = PROM; wait[h] = 0; may[h] = 0; NO_BACK(h);
#ifdef M_TERMLATE
	unsaved[h] = 1
#endif
}

inline tick(x)
{
	if :: lease[x] > 0 -> lease[x]-- :: else fi;
	if :: wait[x] > 0 -> wait[x]-- :: else fi;
	if :: m_what[x] != NIL && m_age[x] <= LEASE -> m_age[x]++ :: else fi
}

init {
	byte h, o, t, ow, c, age, cn; bool flag; mtype what = NIL;
#ifdef THIRD
	byte n, from;
#endif

	d_step {
		up[0] = 1; up[1] = 1; role[0] = PRIM; role[1] = SPARE;
		term[0] = 1; term[1] = 1; wait[1] = LEASE + MARGIN;
#ifdef THIRD
		up[2] = 1; peer[0] = 1; peer[1] = 0; peer[2] = 2
#endif
	}
	do
	:: atomic { !shown ->
		if
		:: h = 0
		:: h = 1
#ifdef THIRD
		:: peer[2] != 2 -> h = 2
#endif
		fi;
		o = PEER;
		if
		:: up[h] && role[h] == PRIM && writes < MAXW ->
			has[h] = has[h] | (1 << writes); writes++
		/* an acknowledgement */
		:: up[h] && role[h] == PRIM && !alone[h] && IF_LEASE && !IN(com[h], told[h]) -> acknowledge(com[h]); TOLD(h)
#ifdef M_ACKFIRST
		:: up[h] && role[h] == PRIM && lease[h] > 0 && !IN(has[h], told[h]) -> acknowledge(has[h])
#endif
		:: up[h] && role[h] == PRIM && alone[h] && goon[h] -> flagged[h] = flagged[h] | has[h]; LONE(h)
		:: up[h] && role[h] == PRIM && alone[h] && !goon[h] && !IN(has[h], told[h]) ->
			solo = solo | (has[h] & ~acked); acknowledge(has[h]); LONE(h)
		/* a read */
		:: up[h] && role[h] == PRIM && IF_LEASE -> assert(IN(acked, has[h])); h = 0; o = 0; goto next
		/* feeds and heartbeats */
		:: up[h] && o != h && role[h] == PRIM -> send(o, FEED, has[h], alone[h])
		:: up[h] && o != h && role[h] != PRIM && role[h] != PROM -> send(o, HELLO, 0, 0)
		:: up[h] && m_what[h] != NIL -> receive()
		:: m_what[h] != NIL -> forget(h)
		/* time */
		:: h == 0 -> tick(0); tick(1);
#ifdef THIRD
			tick(2)
#endif
		:: late < MARGIN -> late++; tick(h)
		/* a promotion, and the one program that claims it */
		:: up[h] && role[h] == SPARE && term[h] < MAXT && IF_WAITED && IF_IN_STEP -> promote()
		:: up[h] && role[h] == PROM -> role[h] = PRIM; quiet(h); alone[h] = 1; told[h] = has[h];
#ifdef BACK
			lone[h] = !taken[h];
#endif
#ifdef M_CLAIM
			lies[h] = has[h]
		:: up[h] && role[h] == NONE && owner[h] == h && losses > 0 && lies[h] != 0 ->
			role[h] = PRIM; has[h] = lies[h]; quiet(h); alone[h] = 1
#endif
#ifdef M_TERMLATE
		:: unsaved[h] -> unsaved[h] = 0
#endif
		/* a program crashes, its daemon reports it; the restarted program asks for its state */
		:: up[h] && role[h] == PRIM && losses < MAXLOSS ->
			lose_memory(h); if :: o != h -> send(o, DIED, 0, 0) :: else fi
		:: up[h] && o != h && role[h] == NONE -> send(o, ASK, 0, 0)
#ifdef BACK
		:: up[h] && o != h && role[h] == NONE && owner[h] == h && taking[h] -> send(o, BACK_ASK, 0, 1)
		:: up[h] && o != h && role[h] == NONE && owner[h] == h && !taking[h] && IF_ITS_OWN &&
		   term[h] < MAXT ->
			term[h]++; taking[h] = 1; send(o, BACK_ASK, 0, taken[h])
#endif
#ifdef KEEP
		/* the same, and what was published is kept; its daemon waits with the report */
		:: up[h] && role[h] == PRIM && spots < MAXSPOT ->
			spots++; role[h] = KEPT;
			if
			:: true
			:: has[h] = told[h] | flagged[h]	/* the last writes weren't published */
#ifdef M_KEPTLATE
			:: has[h] = has[h] & 2			/* or only acknowledged */
#endif
			fi;
			quiet(h)
		:: up[h] && o != h && role[h] == KEPT && !taking[h] -> send(o, DIED, 0, 0)
		/* the program is back: nobody else may be promoted, or the other host is asked first */
		:: up[h] && role[h] == KEPT && !taking[h] && IF_NO_RIVAL && term[h] < MAXT -> promote()
		:: up[h] && o != h && role[h] == KEPT && taking[h] -> send(o, KEEP_ASK, 0, 0)
		:: up[h] && o != h && role[h] == KEPT && !taking[h] && !lone[h] && !outd[h] && term[h] < MAXT ->
			term[h]++; owner[h] = h; taking[h] = 1; send(o, KEEP_ASK, 0, 0)
#endif
#ifdef M_EMPTYSTART
		:: up[h] && role[h] == NONE && term[h] < MAXT ->
			term[h]++; owner[h] = h; role[h] = PRIM; quiet(h); alone[h] = 1
#endif
		/* power */
		:: up[h] && losses < MAXLOSS && (o != h || role[h] != NONE) ->
			lose_memory(h); up[h] = 0; forget(h);
#ifdef M_TERMLOST
			term[h] = 0; owner[h] = 0; outd[h] = 0; goon[h] = 0;
#endif
#ifdef M_TERMLATE
			if :: unsaved[h] -> term[h]--; owner[h] = o; unsaved[h] = 0 :: else fi;
#endif
#ifdef M_CLAIM
			lies[h] = 0
#endif
		:: !up[h] -> up[h] = 1
		/* a fence command against the other host, by a spare or a primary */
		:: IF_FENCE && up[h] && losses < MAXLOSS && (role[h] == SPARE || role[h] == PRIM) && o != h && up[o] ->
			if
			:: lose_memory(o); up[o] = 0; forget(o);
				if
				:: role[h] == PRIM -> alone[h] = 1
				:: role[h] == SPARE -> may[h] = 1
				fi
#ifdef M_FENCEFAIL
			:: if
				:: role[h] == PRIM -> alone[h] = 1
				:: role[h] == SPARE -> may[h] = 1
				fi
#endif
			fi
		/* the spare leaves in order: "outdated" is on disk before BYE */
		:: up[h] && o != h && role[h] == SPARE && !outd[h] && calm < MAXCALM ->
			calm++; forget(h); conn[h]++;
#ifndef M_BYEFIRST
			outd[h] = 1;
#endif
			send(o, BYE, 0, 0)
		/* a daemon restarts; the kernel keeps the replica, the program goes on */
		:: up[h] && calm < MAXCALM && role[h] != NONE ->
			calm++; forget(h); conn[h]++; com[h] = told[h];
			if
			:: role[h] == SPARE ->
#ifndef M_FORGETWAIT
				not_before_lease()
#else
				wait[h] = 0; may[h] = 0
#endif
			:: else
			fi
#ifdef THIRD
		:: up[h] && o != h && role[h] == PRIM && swaps < MAXSWAP -> replace_spare()
#endif
#ifdef GOON
		:: up[h] && role[h] == PRIM && !alone[h] && lease[h] == 0 -> goon[h] = 1; alone[h] = 1
#endif
		fi;
		/* what was acknowledged with a spare survives one loss of memory */
		assert(shown || losses > 1 || SAFE(acked & ~solo));
next:		h = 0; o = 0
	}
	od
}
