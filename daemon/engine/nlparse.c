// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Messages of the netlink family, decoded into records by a table, in which an attribute has the
 * place of its number: one that is added to linux/cptdev_netlink.h is a line here.
 */
#include <string.h>

#include <linux/genetlink.h>

#include "nlparse.h"

enum kind { KIND_NONE, KIND_U32, KIND_U64, KIND_NAME, KIND_UUID };

struct attr_spec {
	enum kind kind;
	size_t offset;
};

#define S(attr, kind, field) \
	[CPTDEV_A_SESSION_##attr] = { kind, offsetof(struct session_rec, field) }
#define R(attr, kind, field) \
	[CPTDEV_A_REPLICA_##attr] = { kind, offsetof(struct replica_rec, field) }

static const struct attr_spec session_attrs[] = {
	S(ID, KIND_U64, id),
	S(NAME, KIND_NAME, name),
	S(UUID, KIND_UUID, uuid),
	S(PID, KIND_U32, pid),
	S(UID, KIND_U32, uid),
	S(TERM, KIND_U64, term),
	S(GENERATION, KIND_U64, generation),
	S(PUBLISHED, KIND_U64, published),
	S(COMMITTED, KIND_U64, committed),
	S(ATTACHED, KIND_U32, attached),
	S(RANGES, KIND_U32, ranges),
	S(BYTES, KIND_U64, bytes),
	S(HELD, KIND_U64, held),
	S(HELD_MAX, KIND_U64, held_max),
	S(FLAGS, KIND_U32, flags),
	S(LAST_PAGES, KIND_U64, last_pages),
	S(LAST_PAUSE_NS, KIND_U64, last_pause_ns),
	S(END, KIND_U32, end),
	S(END_CODE, KIND_U32, end_code),
	S(LEASE_UNTIL, KIND_U64, lease_until),
	S(USER_HELD_MAX, KIND_U64, user_held_max),
	S(USER_HELD, KIND_U64, user_held),
	S(GROUP_LEFT, KIND_U64, group_left),
};

static const struct attr_spec replica_attrs[] = {
	R(NAME, KIND_NAME, name),
	R(UUID, KIND_UUID, uuid),
	R(UID, KIND_U32, uid),
	R(TERM, KIND_U64, term),
	R(GENERATION, KIND_U64, generation),
	R(STAGING, KIND_U64, staging),
	R(PAGES, KIND_U64, pages),
	R(STAGED, KIND_U64, staged),
	R(MAX_BYTES, KIND_U64, max_bytes),
	R(FLAGS, KIND_U32, flags),
	R(COMMITS, KIND_U64, commits),
	R(OPENERS, KIND_U32, openers),
	R(WAITERS, KIND_U32, waiters),
	R(COPIED, KIND_U64, copied),
	R(BEHIND, KIND_U64, behind),
};

static void store(const struct nlattr *attr, enum kind kind, void *to)
{
	const void *from = mnl_attr_get_payload(attr);
	size_t len = mnl_attr_get_payload_len(attr);

	if (kind == KIND_U32 && len == sizeof(u32))
		memcpy(to, from, sizeof(u32));
	else if (kind == KIND_U64 && len == sizeof(u64))
		memcpy(to, from, sizeof(u64));
	else if (kind == KIND_UUID && len == CPTDEV_UUID_LEN)
		memcpy(to, from, CPTDEV_UUID_LEN);
	else if (kind == KIND_NAME && len && len <= CPTDEV_NAME_MAX)
		memcpy(to, from, strnlen(from, len - 1));
}

static void parse_nest(const struct nlattr *nest, const struct attr_spec *spec, size_t nr,
		       void *record)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, nest) {
		u16 type = mnl_attr_get_type(attr);

		if (type < nr)
			store(attr, spec[type].kind, (char *)record + spec[type].offset);
	}
}

bool nlparse_event(const struct nlmsghdr *nlh, kernel_event_fn fn, void *arg)
{
	const struct genlmsghdr *genl = mnl_nlmsg_get_payload(nlh);
	struct kernel_event ev = {};
	struct session_rec session = {
		.user_held_max = UINT64_MAX, .user_held = UINT64_MAX, .group_left = UINT64_MAX,
	};
	struct replica_rec replica = { .copied = UINT64_MAX, .behind = UINT64_MAX };
	const struct nlattr *attr;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*genl))
		return false;
	ev.cmd = genl->cmd;
	mnl_attr_for_each(attr, nlh, sizeof(*genl)) {
		if (mnl_attr_get_type(attr) == CPTDEV_A_SESSION) {
			parse_nest(attr, session_attrs, ARRAY_SIZE(session_attrs),
				   &session);
			ev.session = &session;
		} else if (mnl_attr_get_type(attr) == CPTDEV_A_REPLICA) {
			parse_nest(attr, replica_attrs, ARRAY_SIZE(replica_attrs),
				   &replica);
			ev.replica = &replica;
		}
	}
	if (!ev.session == !ev.replica)
		return false;
	fn(&ev, arg);
	return true;
}
