// SPDX-License-Identifier: GPL-2.0-only
/*
 * cptdev: the generic netlink family: dumps and events. Requests change nothing.
 */
#include <linux/net.h>
#include <net/genetlink.h>
#include <net/sock.h>

#include "cptdev.h"

static struct genl_family family;

enum { GROUP_EVENTS };

static const struct genl_multicast_group groups[] = {
	[GROUP_EVENTS] = { .name = CPTDEV_GENL_MCGRP_EVENTS, },
};

/*
 * How much a message contains about a session or replica. A forged delta or acknowledgment needs
 * UUID and term, so only the owner and holders of the capability get them. An event goes to every
 * listener, and the kernel can't tell listeners apart. So an event has neither; a listener with
 * the permission sends a request.
 */
enum tell { TELL_EVENT, TELL_ALL };

/*
 * Enough for any of the two nests, and not more than fits into 1 KiB with what belongs to the
 * buffer: netlink copies a message that uses less than half of its buffer.
 */
#define MSG_SIZE	640

/*
 * The sender of a request, and the opener of its socket. These may differ, because a socket can be
 * passed to another program, also to one with more rights, and every program that has the socket
 * can read the answer. So both must be the owner or have the capability. For the sender, the real
 * user counts.
 */
struct asker {
	kuid_t sender, opener;
	bool sender_capable, opener_capable;
};

/* In the sender's context. */
static struct asker asker_of(struct sk_buff *skb)
{
	const struct netlink_skb_parms *parms = &NETLINK_CB(skb);
	struct file *file = parms->sk->sk_socket->file;
	struct asker a = {
		.sender = parms->creds.uid, .opener = INVALID_UID,
		.sender_capable = cptdev_capable(),
	};

	if (file) {
		a.opener = file->f_cred->euid;
		a.opener_capable = file_ns_capable(file, &init_user_ns, CAP_CHECKPOINT_RESTORE) ||
			file_ns_capable(file, &init_user_ns, CAP_SYS_ADMIN);
	}
	return a;
}

static bool asker_may(const struct asker *a, kuid_t owner)
{
	return (a->sender_capable || uid_eq(a->sender, owner)) &&
		(a->opener_capable || uid_eq(a->opener, owner));
}

static u32 state_flags(u32 state)
{
	return (state & CPTDEV_STATE_FENCED ? CPTDEV_GENL_SESSION_FENCED : 0) |
		(state & CPTDEV_STATE_ALONE ? CPTDEV_GENL_SESSION_ALONE : 0) |
		(state & CPTDEV_STATE_BLOCKED ? CPTDEV_GENL_SESSION_BLOCKED : 0) |
		(state & CPTDEV_STATE_WANTED ? CPTDEV_GENL_SESSION_WANTED : 0);
}

/*
 * Limits that aren't the session's own. Not in events, of which there are many: to find out
 * takes a look at all sessions.
 */
static bool put_limits(struct sk_buff *skb, struct cptdev_session *s)
{
	u64 max = cptdev_user_held_max(READ_ONCE(s->capable));

	return !nla_put_u64_64bit(skb, CPTDEV_A_SESSION_USER_HELD_MAX,
				  max == U64_MAX ? max : max << PAGE_SHIFT,
				  CPTDEV_A_SESSION_PAD) &&
		!nla_put_u64_64bit(skb, CPTDEV_A_SESSION_USER_HELD,
				   cptdev_user_held(s->user) << PAGE_SHIFT,
				   CPTDEV_A_SESSION_PAD) &&
		!nla_put_u64_64bit(skb, CPTDEV_A_SESSION_GROUP_LEFT,
				   cptdev_group_left(s), CPTDEV_A_SESSION_PAD);
}

/* An answer needs cptdev_sessions_lock. */
static int put_session(struct sk_buff *skb, struct cptdev_session *s, enum tell tell)
{
	u32 attached, flags, end, end_code;
	u64 published, committed, lease;
	struct nlattr *nest;
	bool ended;

	spin_lock(&s->pub_lock);
	published = s->pub_newest;
	committed = s->committed;
	attached = s->nr_followers;
	flags = state_flags(s->state) | (s->hung ? CPTDEV_GENL_SESSION_HUNG : 0);
	lease = s->lease_until;
	ended = s->ended;
	end = s->end;
	end_code = s->end_code;
	spin_unlock(&s->pub_lock);
	if (s->flags & CPTDEV_SESSION_REPLACE)
		flags |= CPTDEV_GENL_SESSION_REPLACE;

	nest = nla_nest_start(skb, CPTDEV_A_SESSION);
	if (!nest)
		return -EMSGSIZE;
	/* What the session's own lock guards is read as it is: it is only shown. */
	if (nla_put_u64_64bit(skb, CPTDEV_A_SESSION_ID, s->id, CPTDEV_A_SESSION_PAD) ||
	    (s->name[0] && nla_put_string(skb, CPTDEV_A_SESSION_NAME, s->name)) ||
	    (tell && nla_put(skb, CPTDEV_A_SESSION_UUID, CPTDEV_UUID_LEN, &s->uuid)) ||
	    nla_put_u32(skb, CPTDEV_A_SESSION_PID, s->pid) ||
	    nla_put_u32(skb, CPTDEV_A_SESSION_UID,
			from_kuid(&init_user_ns, s->uid)) ||
	    (tell && nla_put_u64_64bit(skb, CPTDEV_A_SESSION_TERM, s->term,
				       CPTDEV_A_SESSION_PAD)) ||
	    nla_put_u64_64bit(skb, CPTDEV_A_SESSION_GENERATION,
			      READ_ONCE(s->generation), CPTDEV_A_SESSION_PAD) ||
	    nla_put_u64_64bit(skb, CPTDEV_A_SESSION_PUBLISHED, published,
			      CPTDEV_A_SESSION_PAD) ||
	    nla_put_u64_64bit(skb, CPTDEV_A_SESSION_COMMITTED, committed,
			      CPTDEV_A_SESSION_PAD) ||
	    nla_put_u32(skb, CPTDEV_A_SESSION_ATTACHED, attached) ||
	    nla_put_u32(skb, CPTDEV_A_SESSION_RANGES, READ_ONCE(s->nr_ranges)) ||
	    nla_put_u64_64bit(skb, CPTDEV_A_SESSION_BYTES, READ_ONCE(s->bytes),
			      CPTDEV_A_SESSION_PAD) ||
	    nla_put_u64_64bit(skb, CPTDEV_A_SESSION_HELD,
			      atomic64_read(&s->held) << PAGE_SHIFT,
			      CPTDEV_A_SESSION_PAD) ||
	    nla_put_u64_64bit(skb, CPTDEV_A_SESSION_HELD_MAX,
			      s->held_max ?: cptdev_held_max(),
			      CPTDEV_A_SESSION_PAD) ||
	    nla_put_u32(skb, CPTDEV_A_SESSION_FLAGS, flags) ||
	    nla_put_u64_64bit(skb, CPTDEV_A_SESSION_LAST_PAGES,
			      READ_ONCE(s->last_pages), CPTDEV_A_SESSION_PAD) ||
	    nla_put_u64_64bit(skb, CPTDEV_A_SESSION_LAST_PAUSE_NS,
			      READ_ONCE(s->last_pause), CPTDEV_A_SESSION_PAD) ||
	    nla_put_u64_64bit(skb, CPTDEV_A_SESSION_LEASE_UNTIL, lease,
			      CPTDEV_A_SESSION_PAD) ||
	    (ended && (nla_put_u32(skb, CPTDEV_A_SESSION_END, end) ||
		       nla_put_u32(skb, CPTDEV_A_SESSION_END_CODE, end_code))) ||
	    (tell && !put_limits(skb, s))) {
		nla_nest_cancel(skb, nest);
		return -EMSGSIZE;
	}
	nla_nest_end(skb, nest);
	return 0;
}

/* Not in events, of which there are many: to count what changed takes a look at the replica. */
static bool put_copied(struct sk_buff *skb, struct cptdev_replica *r)
{
	u64 copied = cptdev_copied_newest(r);

	return !nla_put_u64_64bit(skb, CPTDEV_A_REPLICA_COPIED, copied, CPTDEV_A_REPLICA_PAD) &&
		!nla_put_u64_64bit(skb, CPTDEV_A_REPLICA_BEHIND, cptdev_since_pages(r, copied),
				   CPTDEV_A_REPLICA_PAD);
}

static int put_replica(struct sk_buff *skb, struct cptdev_replica *r, enum tell tell)
{
	u64 term, generation, pages, commits;
	struct nlattr *nest;
	u32 flags = 0;
	uuid_t uuid;

	down_read(&r->sem);
	uuid = r->uuid;
	term = r->term;
	generation = r->generation;
	pages = r->nr_pages;
	commits = r->commits;
	if (r->promoted)
		flags |= CPTDEV_GENL_REPLICA_PROMOTED;
	if (r->frozen)
		flags |= CPTDEV_GENL_REPLICA_FROZEN;
	if (r->taken_ns)
		flags |= CPTDEV_GENL_REPLICA_TAKEN;
	if (READ_ONCE(r->kept))
		flags |= CPTDEV_GENL_REPLICA_KEPT;
	up_read(&r->sem);

	nest = nla_nest_start(skb, CPTDEV_A_REPLICA);
	if (!nest)
		return -EMSGSIZE;
	/* Staging is read as it is: it is only shown. */
	if (nla_put_string(skb, CPTDEV_A_REPLICA_NAME, r->name) ||
	    (tell && nla_put(skb, CPTDEV_A_REPLICA_UUID, CPTDEV_UUID_LEN, &uuid)) ||
	    nla_put_u32(skb, CPTDEV_A_REPLICA_UID,
			from_kuid(&init_user_ns, r->uid)) ||
	    (tell && nla_put_u64_64bit(skb, CPTDEV_A_REPLICA_TERM, term,
				       CPTDEV_A_REPLICA_PAD)) ||
	    nla_put_u64_64bit(skb, CPTDEV_A_REPLICA_GENERATION, generation,
			      CPTDEV_A_REPLICA_PAD) ||
	    nla_put_u64_64bit(skb, CPTDEV_A_REPLICA_STAGING,
			      READ_ONCE(r->staging.generation),
			      CPTDEV_A_REPLICA_PAD) ||
	    nla_put_u64_64bit(skb, CPTDEV_A_REPLICA_PAGES, pages,
			      CPTDEV_A_REPLICA_PAD) ||
	    nla_put_u64_64bit(skb, CPTDEV_A_REPLICA_STAGED, READ_ONCE(r->nr_staged),
			      CPTDEV_A_REPLICA_PAD) ||
	    nla_put_u64_64bit(skb, CPTDEV_A_REPLICA_MAX_BYTES, cptdev_replica_limit(r),
			      CPTDEV_A_REPLICA_PAD) ||
	    nla_put_u32(skb, CPTDEV_A_REPLICA_FLAGS, flags) ||
	    nla_put_u64_64bit(skb, CPTDEV_A_REPLICA_COMMITS, commits,
			      CPTDEV_A_REPLICA_PAD) ||
	    nla_put_u32(skb, CPTDEV_A_REPLICA_OPENERS, atomic_read(&r->openers)) ||
	    nla_put_u32(skb, CPTDEV_A_REPLICA_WAITERS, atomic_read(&r->waiters)) ||
	    (tell && !put_copied(skb, r))) {
		nla_nest_cancel(skb, nest);
		return -EMSGSIZE;
	}
	nla_nest_end(skb, nest);
	return 0;
}

/*
 * Messages about one session or one replica: exactly one of them isn't NULL.
 */
static int put_message(struct sk_buff *skb, u32 portid, u32 seq, int flags, u8 cmd,
		       struct cptdev_session *s, struct cptdev_replica *r)
{
	bool answer = cmd == CPTDEV_CMD_SESSION_GET || cmd == CPTDEV_CMD_REPLICA_GET;
	void *hdr = genlmsg_put(skb, portid, seq, &family, flags, cmd);
	enum tell tell = answer ? TELL_ALL : TELL_EVENT;

	if (!hdr)
		return -EMSGSIZE;
	if (s ? put_session(skb, s, tell) : put_replica(skb, r, tell)) {
		genlmsg_cancel(skb, hdr);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, hdr);
	return 0;
}

static void event(u8 cmd, struct cptdev_session *s, struct cptdev_replica *r)
{
	struct sk_buff *skb;

	if (!genl_has_listeners(&family, &init_net, GROUP_EVENTS))
		return;
	/* An event that can't be told is as good as one that the listener missed. */
	skb = genlmsg_new(MSG_SIZE, GFP_KERNEL);
	if (!skb || put_message(skb, 0, 0, 0, cmd, s, r)) {
		nlmsg_free(skb);
		genl_set_err(&family, &init_net, 0, GROUP_EVENTS, -ENOBUFS);
		return;
	}
	genlmsg_multicast(&family, skb, 0, GROUP_EVENTS, GFP_KERNEL);
}

void cptdev_event_session(struct cptdev_session *s, u8 cmd)
{
	event(cmd, s, NULL);
}

void cptdev_event_replica(struct cptdev_replica *r, u8 cmd)
{
	event(cmd, NULL, r);
}

static int reply(struct genl_info *info, u8 cmd, struct cptdev_session *s,
		 struct cptdev_replica *r)
{
	struct sk_buff *skb = genlmsg_new(MSG_SIZE, GFP_KERNEL);
	int ret;

	if (!skb)
		return -ENOMEM;
	ret = put_message(skb, info->snd_portid, info->snd_seq, 0, cmd, s, r);
	if (ret) {
		nlmsg_free(skb);
		return ret;
	}
	return genlmsg_reply(skb, info);
}

static const struct nla_policy session_policy[CPTDEV_A_SESSION_MAX + 1] = {
	[CPTDEV_A_SESSION_ID] = { .type = NLA_U64 },
};

static const struct nla_policy replica_policy[CPTDEV_A_REPLICA_MAX + 1] = {
	[CPTDEV_A_REPLICA_NAME] = { .type = NLA_NUL_STRING,
				    .len = CPTDEV_NAME_MAX - 1 },
};

static const struct nla_policy session_get_policy[CPTDEV_A_MAX + 1] = {
	[CPTDEV_A_SESSION] = NLA_POLICY_NESTED(session_policy),
};

static const struct nla_policy replica_get_policy[CPTDEV_A_MAX + 1] = {
	[CPTDEV_A_REPLICA] = NLA_POLICY_NESTED(replica_policy),
};

static int session_get(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *tb[CPTDEV_A_SESSION_MAX + 1], *nest;
	const struct asker asker = asker_of(skb);
	struct cptdev_session *s;
	int ret;

	nest = info->attrs[CPTDEV_A_SESSION];
	if (!nest) {
		NL_SET_ERR_MSG(info->extack, "cptdev: which session? Its id is missing");
		return -EINVAL;
	}
	ret = nla_parse_nested(tb, CPTDEV_A_SESSION_MAX, nest, session_policy,
			       info->extack);
	if (ret)
		return ret;
	if (!tb[CPTDEV_A_SESSION_ID]) {
		NL_SET_ERR_MSG_ATTR(info->extack, nest,
				    "cptdev: which session? Its id is missing");
		return -EINVAL;
	}
	s = cptdev_session_find(nla_get_u64(tb[CPTDEV_A_SESSION_ID]));
	if (!s) {
		NL_SET_ERR_MSG_ATTR(info->extack, tb[CPTDEV_A_SESSION_ID],
				    "cptdev: no session has this id");
		return -ENOENT;
	}
	if (asker_may(&asker, s->uid)) {
		mutex_lock(&cptdev_sessions_lock);
		ret = reply(info, CPTDEV_CMD_SESSION_GET, s, NULL);
		mutex_unlock(&cptdev_sessions_lock);
	} else {
		NL_SET_ERR_MSG_ATTR(info->extack, tb[CPTDEV_A_SESSION_ID],
				    "cptdev: the session belongs to another user");
		ret = -EACCES;
	}
	cptdev_session_put(s);
	return ret;
}

static int replica_get(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *tb[CPTDEV_A_REPLICA_MAX + 1], *nest;
	const struct asker asker = asker_of(skb);
	struct cptdev_replica *r;
	int ret;

	nest = info->attrs[CPTDEV_A_REPLICA];
	if (!nest) {
		NL_SET_ERR_MSG(info->extack, "cptdev: which replica? Its name is missing");
		return -EINVAL;
	}
	ret = nla_parse_nested(tb, CPTDEV_A_REPLICA_MAX, nest, replica_policy,
			       info->extack);
	if (ret)
		return ret;
	if (!tb[CPTDEV_A_REPLICA_NAME]) {
		NL_SET_ERR_MSG_ATTR(info->extack, nest,
				    "cptdev: which replica? Its name is missing");
		return -EINVAL;
	}
	r = cptdev_replica_find(nla_data(tb[CPTDEV_A_REPLICA_NAME]));
	if (!r) {
		NL_SET_ERR_MSG_ATTR(info->extack, tb[CPTDEV_A_REPLICA_NAME],
				    "cptdev: no replica has this name");
		return -ENOENT;
	}
	if (asker_may(&asker, r->uid)) {
		ret = reply(info, CPTDEV_CMD_REPLICA_GET, NULL, r);
	} else {
		NL_SET_ERR_MSG_ATTR(info->extack, tb[CPTDEV_A_REPLICA_NAME],
				    "cptdev: the replica belongs to another user");
		ret = -EACCES;
	}
	cptdev_replica_put(r);
	return ret;
}

/*
 * Dumps go on where they stopped: after the session or replica of the place @last in the list; the
 * lists ascend. They show what the asker may know. That is found out when the dump is asked for, as
 * somebody else may read the rest of it.
 */
struct dump {
	u64 last;
	struct asker asker;
};

static struct dump *dump_of(struct netlink_callback *cb)
{
	return (struct dump *)cb->ctx;
}

static int dump_start(struct netlink_callback *cb)
{
	BUILD_BUG_ON(sizeof(struct dump) > sizeof(cb->ctx));
	dump_of(cb)->asker = asker_of(cb->skb);
	return 0;
}

static int session_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct dump *dump = dump_of(cb);
	struct cptdev_session *s;

	mutex_lock(&cptdev_sessions_lock);
	list_for_each_entry(s, &cptdev_sessions, entry) {
		if (s->listing <= dump->last || !asker_may(&dump->asker, s->uid))
			continue;
		if (put_message(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
				NLM_F_MULTI, CPTDEV_CMD_SESSION_GET, s, NULL))
			break;
		dump->last = s->listing;
	}
	mutex_unlock(&cptdev_sessions_lock);
	return skb->len;
}

static int replica_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct dump *dump = dump_of(cb);
	struct cptdev_replica *r;

	mutex_lock(&cptdev_replicas_lock);
	list_for_each_entry(r, &cptdev_replicas, entry) {
		if (r->listing <= dump->last || !asker_may(&dump->asker, r->uid))
			continue;
		if (put_message(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
				NLM_F_MULTI, CPTDEV_CMD_REPLICA_GET, NULL, r))
			break;
		dump->last = r->listing;
	}
	mutex_unlock(&cptdev_replicas_lock);
	return skb->len;
}

static const struct genl_ops ops[] = {
	{
		.cmd		= CPTDEV_CMD_SESSION_GET,
		.doit		= session_get,
		.start		= dump_start,
		.dumpit		= session_dump,
		.policy		= session_get_policy,
		.maxattr	= CPTDEV_A_MAX,
	},
	{
		.cmd		= CPTDEV_CMD_REPLICA_GET,
		.doit		= replica_get,
		.start		= dump_start,
		.dumpit		= replica_dump,
		.policy		= replica_get_policy,
		.maxattr	= CPTDEV_A_MAX,
	},
};

static struct genl_family family __ro_after_init = {
	.name		= CPTDEV_GENL_NAME,
	.version	= CPTDEV_GENL_VERSION,
	.module		= THIS_MODULE,
	.ops		= ops,
	.n_ops		= ARRAY_SIZE(ops),
	.resv_start_op	= CPTDEV_CMD_UNSPEC + 1,
	.mcgrps		= groups,
	.n_mcgrps	= ARRAY_SIZE(groups),
};

int __init cptdev_genl_init(void)
{
	return genl_register_family(&family);
}

void cptdev_genl_exit(void)
{
	genl_unregister_family(&family);
}
