// SPDX-License-Identifier: GPL-2.0-or-later
/* The handshake: what is said, and what two nodes agree on. No I/O. */
#include <stdio.h>

#include "greeting.h"
#include "name.h"

/* Slower than this a peer can't be: the limits of the configuration. */
#define HEARTBEAT_MAX_MS	60000
#define TIMEOUT_MAX_MS		600000

/* Type, length and value of WIRE_TLV_MACHINE. */
#define MACHINE_TAIL_LEN	6

static void node_times_encode(struct writer *w, const struct node *n)
{
	size_t len = strlen(n->name);

	write_u32(w, n->heartbeat_ms);
	write_u32(w, n->timeout_ms);
	write_u16(w, len);
	write_u16(w, n->machine ? MACHINE_TAIL_LEN : 0);
	write_u32(w, 0);
	write_copy(w, n->name, len);
	if (n->machine) {
		write_u16(w, WIRE_TLV_MACHINE);
		write_u16(w, sizeof(n->machine));
		write_u16(w, n->machine);
	}
}

void hello_encode(struct writer *w, const struct hello *m)
{
	write_u16(w, m->version_min);
	write_u16(w, m->version_max);
	write_u32(w, m->node.page_size);
	write_u64(w, m->offered);
	write_u64(w, m->required);
	write_copy(w, m->node.uuid, CPTDEV_UUID_LEN);
	node_times_encode(w, &m->node);
}

void welcome_encode(struct writer *w, const struct welcome *m)
{
	write_u16(w, m->version);
	write_u16(w, 0);
	write_u32(w, m->node.page_size);
	write_u64(w, m->features);
	write_copy(w, m->node.uuid, CPTDEV_UUID_LEN);
	node_times_encode(w, &m->node);
}

static int machine_decode(const u8 *p, size_t len, struct node *n, struct fault *f)
{
	struct reader r = { .p = p, .left = len };

	if (len != sizeof(n->machine))
		return fault_set(f, WIRE_E_PROTOCOL, "greeting: processor of %zu bytes", len);
	n->machine = read_u16(&r);
	return 0;
}

/*
 * The tail has the processor, and is for what comes later: that has to be well-formed, and nothing
 * critical.
 */
static int tail_decode(struct reader *r, size_t len, struct node *node, struct fault *f)
{
	struct reader tail = { .p = read_bytes(r, len), .left = len };
	const u8 *p;

	if (!tail.p)
		return fault_set(f, WIRE_E_PROTOCOL, "greeting is cut short");
	while (tail.left) {
		u16 type = read_u16(&tail), n = read_u16(&tail);

		p = read_bytes(&tail, n);
		if (tail.short_of)
			return fault_set(f, WIRE_E_PROTOCOL,
					 "greeting's tail is cut short");
		if (type == WIRE_TLV_MACHINE) {
			if (machine_decode(p, n, node, f))
				return -1;
			continue;
		}
		if (type & WIRE_TLV_CRITICAL)
			return fault_set(f, WIRE_E_FEATURE,
					 "greeting asks for 0x%x, which isn't known here",
					 type);
	}
	return 0;
}

static int node_times_decode(struct reader *r, struct node *n, struct fault *f)
{
	u16 name_len, tail_len;
	u32 reserved;
	const u8 *name;

	n->without = 0;
	n->machine = WIRE_MACHINE_X86_64;
	n->heartbeat_ms = read_u32(r);
	n->timeout_ms = read_u32(r);
	name_len = read_u16(r);
	tail_len = read_u16(r);
	reserved = read_u32(r);
	name = read_bytes(r, name_len);
	if (r->short_of)
		return fault_set(f, WIRE_E_PROTOCOL, "greeting is cut short");
	if (reserved)
		return fault_set(f, WIRE_E_PROTOCOL, "greeting: reserved field isn't 0");
	if (!name_valid((const char *)name, name_len))
		return fault_set(f, WIRE_E_PROTOCOL, "greeting: bad node name");
	memset(n->name, 0, sizeof(n->name));
	memcpy(n->name, name, name_len);
	if (tail_len > WIRE_TLV_MAX)
		return fault_set(f, WIRE_E_PROTOCOL, "greeting: tail of %u bytes",
				 tail_len);
	if (tail_decode(r, tail_len, n, f))
		return -1;
	if (r->left)
		return fault_set(f, WIRE_E_PROTOCOL, "greeting: %zu bytes too many",
				 r->left);
	if (!n->heartbeat_ms || n->heartbeat_ms > HEARTBEAT_MAX_MS || !n->timeout_ms ||
	    n->timeout_ms > TIMEOUT_MAX_MS)
		return fault_set(f, WIRE_E_PROTOCOL,
				 "greeting: heartbeat of %u ms, time-out of %u ms",
				 n->heartbeat_ms, n->timeout_ms);
	return 0;
}

int hello_decode(const u8 *p, size_t len, struct hello *m, struct fault *f)
{
	struct reader r = { .p = p, .left = len };

	m->version_min = read_u16(&r);
	m->version_max = read_u16(&r);
	m->node.page_size = read_u32(&r);
	m->offered = read_u64(&r);
	m->required = read_u64(&r);
	read_copy(&r, m->node.uuid, CPTDEV_UUID_LEN);
	if (node_times_decode(&r, &m->node, f))
		return -1;
	if (!m->version_min || m->version_min > m->version_max)
		return fault_set(f, WIRE_E_PROTOCOL, "greeting: versions %u to %u",
				 m->version_min, m->version_max);
	return 0;
}

int welcome_decode(const u8 *p, size_t len, struct welcome *m, struct fault *f)
{
	struct reader r = { .p = p, .left = len };
	u16 reserved;

	m->version = read_u16(&r);
	reserved = read_u16(&r);
	m->node.page_size = read_u32(&r);
	m->features = read_u64(&r);
	read_copy(&r, m->node.uuid, CPTDEV_UUID_LEN);
	if (node_times_decode(&r, &m->node, f))
		return -1;
	if (reserved)
		return fault_set(f, WIRE_E_PROTOCOL, "greeting: reserved field isn't 0");
	return 0;
}

void hello_make(struct hello *m, const struct node *self)
{
	*m = (struct hello) {
		.node = *self,
		.version_min = WIRE_VERSION,
		.version_max = WIRE_VERSION,
		.offered = WIRE_FEATURES & ~self->without,
	};
}

static int features_check(u64 required, struct fault *f)
{
	u64 missing = required & ~WIRE_FEATURES;

	if (!missing)
		return 0;
	if (missing & (WIRE_FEATURE_STARTTLS | WIRE_FEATURE_PSK))
		return fault_set(f, WIRE_E_FEATURE,
				 "authentication is required, this version has none");
	return fault_set(f, WIRE_E_FEATURE, "features 0x%llx are required and missing",
			 missing);
}

static const char *machine_name(u16 machine, char text[8])
{
	switch (machine) {
	case WIRE_MACHINE_X86_64:
		return "x86-64";
	case WIRE_MACHINE_ARM64:
		return "arm64";
	}
	snprintf(text, 8, "%u", machine);
	return text;
}

/* Memory and registers of a program mean nothing to another processor. */
static int machine_check(const struct node *peer, const struct node *self, struct fault *f)
{
	char theirs[8], ours[8];

	if (peer->machine == self->machine)
		return 0;
	return fault_set(f, WIRE_E_MACHINE,
			 "peer is a machine of %s, this node of %s, and no program can be "
			 "continued on another processor. Next: name a spare of the same processor",
			 machine_name(peer->machine, theirs), machine_name(self->machine, ours));
}

int hello_answer(const struct hello *peer, const struct node *self, struct welcome *m,
		 struct fault *f)
{
	if (peer->version_min > WIRE_VERSION || peer->version_max < WIRE_VERSION)
		return fault_set(f, WIRE_E_VERSION,
				 "peer speaks versions %u to %u, this node version %u",
				 peer->version_min, peer->version_max, WIRE_VERSION);
	if (features_check(peer->required, f))
		return -1;
	if (machine_check(&peer->node, self, f))
		return -1;
	if (peer->node.page_size != self->page_size)
		return fault_set(f, WIRE_E_PAGE_SIZE,
				 "peer has pages of %u bytes, this node of %u",
				 peer->node.page_size, self->page_size);
	if (!memcmp(peer->node.uuid, self->uuid, CPTDEV_UUID_LEN))
		return fault_set(f, WIRE_E_IDENTITY,
				 "the peer is this node itself (%s)", self->name);
	*m = (struct welcome) {
		.node = *self,
		.version = WIRE_VERSION,
		.features = peer->offered & WIRE_FEATURES & ~self->without,
	};
	return 0;
}

int node_check(const struct node *n, const char *name, struct fault *f)
{
	if (*name && strcmp(name, n->name))
		return fault_set(f, WIRE_E_IDENTITY,
				 "this node is called %s, %s is expected here", n->name, name);
	return 0;
}

int welcome_check(const struct welcome *m, const struct node *self, struct fault *f)
{
	if (m->version != WIRE_VERSION)
		return fault_set(f, WIRE_E_VERSION, "peer chose version %u", m->version);
	if (m->features & (~WIRE_FEATURES | self->without))
		return fault_set(f, WIRE_E_FEATURE,
				 "peer agreed to features 0x%llx that nobody offered",
				 m->features & (~WIRE_FEATURES | self->without));
	if (machine_check(&m->node, self, f))
		return -1;
	if (m->node.page_size != self->page_size)
		return fault_set(f, WIRE_E_PAGE_SIZE,
				 "peer has pages of %u bytes, this node of %u",
				 m->node.page_size, self->page_size);
	if (!memcmp(m->node.uuid, self->uuid, CPTDEV_UUID_LEN))
		return fault_set(f, WIRE_E_IDENTITY,
				 "the peer is this node itself (%s)", self->name);
	return 0;
}
