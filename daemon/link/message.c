// SPDX-License-Identifier: GPL-2.0-or-later
/* Small messages: encoding, and decoding with every field checked. No I/O. */
#include "bounds.h"
#include "message.h"
#include "name.h"

/* All was read, and nothing is left over. */
static int whole(const struct reader *r, u16 type, struct fault *f)
{
	if (r->short_of)
		return fault_set(f, WIRE_E_PROTOCOL, "%s is cut short",
				 wire_type_name(type));
	if (r->left)
		return fault_set(f, WIRE_E_PROTOCOL, "%s: %zu bytes too many",
				 wire_type_name(type), r->left);
	return 0;
}

int field_bad(struct fault *f, u16 type, const char *field, u64 value)
{
	return fault_set(f, WIRE_E_PROTOCOL, "%s: %s is %llu", wire_type_name(type),
			 field, value);
}

int empty_decode(u16 type, size_t len, struct fault *f)
{
	struct reader r = { .left = len };

	return whole(&r, type, f);
}

/*
 * Text for people: it goes to logs and terminals, so nothing but printable ASCII is
 * taken from a peer.
 */
static void text_encode(struct writer *w, const char *text)
{
	size_t len = strnlen(text, WIRE_TEXT_MAX);

	write_u16(w, len);
	write_u16(w, 0);
	write_copy(w, text, len);
}

static int text_decode(struct reader *r, u16 type, char *text, struct fault *f)
{
	u16 len = read_u16(r), reserved = read_u16(r), i;
	const u8 *p;

	if (len > WIRE_TEXT_MAX)
		return field_bad(f, type, "length of the text", len);
	p = read_bytes(r, len);
	if (whole(r, type, f))
		return -1;
	if (reserved)
		return field_bad(f, type, "reserved field", reserved);
	for (i = 0; i < len; i++)
		text[i] = p[i] >= ' ' && p[i] <= '~' ? p[i] : '?';
	text[len] = '\0';
	return 0;
}

void refuse_encode(struct writer *w, const struct msg_refuse *m)
{
	write_u32(w, m->fault.code);
	text_encode(w, m->fault.text);
}

int refuse_decode(const u8 *p, size_t len, struct msg_refuse *m, struct fault *f)
{
	struct reader r = { .p = p, .left = len };

	m->fault.code = read_u32(&r);
	return text_decode(&r, WIRE_REFUSE, m->fault.text, f);
}

void heartbeat_encode(struct writer *w, const struct msg_heartbeat *m)
{
	write_u64(w, m->clock);
	write_u64(w, m->echo);
	write_u64(w, m->held);
}

int heartbeat_decode(const u8 *p, size_t len, struct msg_heartbeat *m, struct fault *f)
{
	struct reader r = { .p = p, .left = len };

	m->clock = read_u64(&r);
	m->echo = read_u64(&r);
	m->held = read_u64(&r);
	return whole(&r, WIRE_HEARTBEAT, f);
}

/* What the spare adds 1 to must not become 0. */
static bool term_valid(u64 term)
{
	return term && term <= CPTDEV_TERM_MAX;
}

int field_name(char *to, const u8 *name, u16 len, const char *frame, struct fault *f)
{
	if (!name_valid((const char *)name, len))
		return fault_set(f, WIRE_E_PROTOCOL, "%s: bad name", frame);
	memset(to, 0, CPTDEV_NAME_MAX);
	memcpy(to, name, len);
	return 0;
}

void term_encode(struct writer *w, const struct msg_term *m)
{
	size_t len = strlen(m->name);

	write_u64(w, m->term);
	write_copy(w, m->owner, CPTDEV_UUID_LEN);
	write_u16(w, len);
	write_u16(w, m->flags);
	write_copy(w, m->name, len);
}

int term_decode(const u8 *p, size_t len, struct msg_term *m, struct fault *f)
{
	struct reader r = { .p = p, .left = len };
	u16 name_len;
	const u8 *name;

	m->term = read_u64(&r);
	read_copy(&r, m->owner, CPTDEV_UUID_LEN);
	name_len = read_u16(&r);
	m->flags = read_u16(&r);
	name = read_bytes(&r, name_len);
	if (whole(&r, WIRE_TERM, f))
		return -1;
	if (!term_valid(m->term))
		return field_bad(f, WIRE_TERM, "term", m->term);
	if (m->flags & ~WIRE_TERM_FLAGS)
		return field_bad(f, WIRE_TERM, "flags", m->flags);
	return field_name(m->name, name, name_len, "TERM", f);
}

void ended_encode(struct writer *w, const struct msg_ended *m)
{
	size_t len = strlen(m->name);

	write_copy(w, m->uuid, CPTDEV_UUID_LEN);
	write_u64(w, m->term);
	write_copy(w, m->owner, CPTDEV_UUID_LEN);
	write_u64(w, m->generation);
	write_u32(w, m->how);
	write_u16(w, len);
	write_u16(w, 0);
	write_copy(w, m->name, len);
	text_encode(w, m->text);
}

int ended_decode(const u8 *p, size_t len, struct msg_ended *m, struct fault *f)
{
	struct reader r = { .p = p, .left = len };
	u16 name_len, reserved;
	const u8 *name;

	read_copy(&r, m->uuid, CPTDEV_UUID_LEN);
	m->term = read_u64(&r);
	read_copy(&r, m->owner, CPTDEV_UUID_LEN);
	m->generation = read_u64(&r);
	m->how = read_u32(&r);
	name_len = read_u16(&r);
	reserved = read_u16(&r);
	name = read_bytes(&r, name_len);
	if (text_decode(&r, WIRE_ENDED, m->text, f))
		return -1;
	if (!term_valid(m->term))
		return field_bad(f, WIRE_ENDED, "term", m->term);
	if (m->how > WIRE_HOW_MAX)
		return field_bad(f, WIRE_ENDED, "how", m->how);
	if (reserved)
		return field_bad(f, WIRE_ENDED, "reserved field", reserved);
	return field_name(m->name, name, name_len, "ENDED", f);
}

void take_back_encode(struct writer *w, const struct msg_take_back *m)
{
	size_t len = strlen(m->name);

	write_copy(w, m->uuid, CPTDEV_UUID_LEN);
	write_u64(w, m->term);
	write_u64(w, m->generation);
	write_u32(w, m->flags);
	write_u16(w, len);
	write_u16(w, 0);
	write_copy(w, m->name, len);
}

int take_back_decode(const u8 *p, size_t len, struct msg_take_back *m, struct fault *f)
{
	struct reader r = { .p = p, .left = len };
	u16 name_len, reserved;
	const u8 *name;

	read_copy(&r, m->uuid, CPTDEV_UUID_LEN);
	m->term = read_u64(&r);
	m->generation = read_u64(&r);
	m->flags = read_u32(&r);
	name_len = read_u16(&r);
	reserved = read_u16(&r);
	name = read_bytes(&r, name_len);
	if (whole(&r, WIRE_TAKE_BACK, f))
		return -1;
	if (!term_valid(m->term))
		return field_bad(f, WIRE_TAKE_BACK, "term", m->term);
	if (m->flags & ~(WIRE_TAKE_BACK_AGAIN | WIRE_TAKE_BACK_KEPT))
		return field_bad(f, WIRE_TAKE_BACK, "flags", m->flags);
	if (reserved)
		return field_bad(f, WIRE_TAKE_BACK, "reserved field", reserved);
	return field_name(m->name, name, name_len, "TAKE_BACK", f);
}

void take_back_state_encode(struct writer *w, const struct msg_take_back_state *m)
{
	size_t len = strlen(m->name);

	write_u64(w, m->term);
	write_u32(w, m->fault.code);
	write_u16(w, len);
	write_u16(w, 0);
	write_copy(w, m->name, len);
	text_encode(w, m->fault.text);
}

int take_back_state_decode(const u8 *p, size_t len, struct msg_take_back_state *m,
			   struct fault *f)
{
	struct reader r = { .p = p, .left = len };
	u16 name_len, reserved;
	const u8 *name;

	m->term = read_u64(&r);
	m->fault.code = read_u32(&r);
	name_len = read_u16(&r);
	reserved = read_u16(&r);
	name = read_bytes(&r, name_len);
	if (text_decode(&r, WIRE_TAKE_BACK_STATE, m->fault.text, f))
		return -1;
	if (!term_valid(m->term))
		return field_bad(f, WIRE_TAKE_BACK_STATE, "term", m->term);
	if (reserved)
		return field_bad(f, WIRE_TAKE_BACK_STATE, "reserved field", reserved);
	return field_name(m->name, name, name_len, "TAKE_BACK_STATE", f);
}

void switch_encode(struct writer *w, const struct msg_switch *m)
{
	size_t len = strlen(m->name);

	write_copy(w, m->uuid, CPTDEV_UUID_LEN);
	write_u64(w, m->term);
	write_u64(w, m->generation);
	write_u32(w, m->what);
	write_u16(w, len);
	write_u16(w, 0);
	write_copy(w, m->name, len);
}

int switch_decode(const u8 *p, size_t len, struct msg_switch *m, struct fault *f)
{
	struct reader r = { .p = p, .left = len };
	u16 name_len, reserved;
	const u8 *name;

	read_copy(&r, m->uuid, CPTDEV_UUID_LEN);
	m->term = read_u64(&r);
	m->generation = read_u64(&r);
	m->what = read_u32(&r);
	name_len = read_u16(&r);
	reserved = read_u16(&r);
	name = read_bytes(&r, name_len);
	if (whole(&r, WIRE_SWITCH, f))
		return -1;
	if (!term_valid(m->term))
		return field_bad(f, WIRE_SWITCH, "term", m->term);
	if (m->what > WIRE_SWITCH_MAX)
		return field_bad(f, WIRE_SWITCH, "question", m->what);
	if (m->generation > CPTDEV_GENERATION_MAX ||
	    (m->what == WIRE_SWITCH_GO && !m->generation))
		return field_bad(f, WIRE_SWITCH, "generation", m->generation);
	if (reserved)
		return field_bad(f, WIRE_SWITCH, "reserved field", reserved);
	return field_name(m->name, name, name_len, "SWITCH", f);
}

void switch_state_encode(struct writer *w, const struct msg_switch_state *m)
{
	size_t len = strlen(m->name);

	write_u64(w, m->term);
	write_u64(w, m->generation);
	write_u32(w, m->what);
	write_u32(w, m->fault.code);
	write_u16(w, len);
	write_u16(w, 0);
	write_copy(w, m->name, len);
	text_encode(w, m->fault.text);
}

int switch_state_decode(const u8 *p, size_t len, struct msg_switch_state *m,
			struct fault *f)
{
	struct reader r = { .p = p, .left = len };
	u16 name_len, reserved;
	const u8 *name;

	m->term = read_u64(&r);
	m->generation = read_u64(&r);
	m->what = read_u32(&r);
	m->fault.code = read_u32(&r);
	name_len = read_u16(&r);
	reserved = read_u16(&r);
	name = read_bytes(&r, name_len);
	if (text_decode(&r, WIRE_SWITCH_STATE, m->fault.text, f))
		return -1;
	if (!term_valid(m->term))
		return field_bad(f, WIRE_SWITCH_STATE, "term", m->term);
	if (m->generation > CPTDEV_GENERATION_MAX)
		return field_bad(f, WIRE_SWITCH_STATE, "generation", m->generation);
	if (m->what > WIRE_SWITCH_STATE_MAX)
		return field_bad(f, WIRE_SWITCH_STATE, "answer", m->what);
	if (reserved)
		return field_bad(f, WIRE_SWITCH_STATE, "reserved field", reserved);
	return field_name(m->name, name, name_len, "SWITCH_STATE", f);
}

void session_encode(struct writer *w, const struct msg_session *m)
{
	size_t len = strlen(m->name);

	write_copy(w, m->uuid, CPTDEV_UUID_LEN);
	write_u64(w, m->term);
	write_copy(w, m->owner, CPTDEV_UUID_LEN);
	write_u32(w, m->flags);
	write_u32(w, m->uid);
	write_u16(w, len);
	write_u16(w, 0);
	write_copy(w, m->name, len);
}

int session_decode(const u8 *p, size_t len, struct msg_session *m, struct fault *f)
{
	struct reader r = { .p = p, .left = len };
	u16 name_len, reserved;
	const u8 *name;

	read_copy(&r, m->uuid, CPTDEV_UUID_LEN);
	m->term = read_u64(&r);
	read_copy(&r, m->owner, CPTDEV_UUID_LEN);
	m->flags = read_u32(&r);
	m->uid = read_u32(&r);
	name_len = read_u16(&r);
	reserved = read_u16(&r);
	name = read_bytes(&r, name_len);
	if (whole(&r, WIRE_SESSION, f))
		return -1;
	if (!term_valid(m->term))
		return field_bad(f, WIRE_SESSION, "term", m->term);
	if (m->flags & ~(WIRE_SESSION_REPLACE | WIRE_SESSION_UNUSED | WIRE_SESSION_ALONE |
			 WIRE_SESSION_GOES_ON | WIRE_SESSION_TAKE_BACK | WIRE_SESSION_OTHERS |
			 WIRE_SESSION_UNSURE))
		return field_bad(f, WIRE_SESSION, "flags", m->flags);
	if (m->uid == (u32)-1)
		return field_bad(f, WIRE_SESSION, "uid", m->uid);
	if (reserved)
		return field_bad(f, WIRE_SESSION, "reserved field", reserved);
	return field_name(m->name, name, name_len, "SESSION", f);
}

void state_encode(struct writer *w, const struct msg_state *m)
{
	write_u32(w, m->fault.code);
	write_u32(w, m->flags);
	write_copy(w, m->uuid, CPTDEV_UUID_LEN);
	write_u64(w, m->generation);
	write_u64(w, m->term);
	text_encode(w, m->fault.text);
}

int state_decode(const u8 *p, size_t len, struct msg_state *m, struct fault *f)
{
	struct reader r = { .p = p, .left = len };

	m->fault.code = read_u32(&r);
	m->flags = read_u32(&r);
	read_copy(&r, m->uuid, CPTDEV_UUID_LEN);
	m->generation = read_u64(&r);
	m->term = read_u64(&r);
	if (text_decode(&r, WIRE_SESSION_STATE, m->fault.text, f))
		return -1;
	if (m->flags & ~(WIRE_STATE_PROMOTED | WIRE_STATE_OUTDATED))
		return field_bad(f, WIRE_SESSION_STATE, "flags", m->flags);
	/* An empty replica has none. */
	if (m->term && !term_valid(m->term))
		return field_bad(f, WIRE_SESSION_STATE, "term", m->term);
	return 0;
}

void begin_encode(struct writer *w, const struct msg_begin *m)
{
	write_u64(w, m->base);
	write_u64(w, m->generation);
	write_u64(w, m->term);
	write_u32(w, m->flags);
	write_u32(w, m->segments);
	write_u32(w, m->meta_len);
	write_u32(w, 0);
	write_u64(w, m->pages);
}

int begin_decode(const u8 *p, size_t len, struct msg_begin *m, struct fault *f)
{
	struct reader r = { .p = p, .left = len };
	u32 reserved;

	m->base = read_u64(&r);
	m->generation = read_u64(&r);
	m->term = read_u64(&r);
	m->flags = read_u32(&r);
	m->segments = read_u32(&r);
	m->meta_len = read_u32(&r);
	reserved = read_u32(&r);
	m->pages = read_u64(&r);
	if (whole(&r, WIRE_BEGIN, f))
		return -1;
	if (m->base >= m->generation || !generation_valid(m->generation))
		return fault_set(f, WIRE_E_PROTOCOL, "BEGIN: base %llu, generation %llu",
				 m->base, m->generation);
	if (!term_valid(m->term))
		return field_bad(f, WIRE_BEGIN, "term", m->term);
	if (m->flags & ~(WIRE_SESSION_REPLACE | WIRE_SESSION_ALONE | WIRE_BEGIN_CONTINUE))
		return field_bad(f, WIRE_BEGIN, "flags", m->flags);
	if (m->flags & WIRE_BEGIN_CONTINUE && m->base)
		return field_bad(f, WIRE_BEGIN, "base of a part", m->base);
	if (m->segments > CPTDEV_LAYOUT_MAX)
		return field_bad(f, WIRE_BEGIN, "number of segments", m->segments);
	if (m->meta_len > CPTDEV_META_MAX)
		return field_bad(f, WIRE_BEGIN, "length of the meta-data", m->meta_len);
	if (reserved)
		return field_bad(f, WIRE_BEGIN, "reserved field", reserved);
	return 0;
}

void commit_encode(struct writer *w, u64 generation)
{
	write_u64(w, generation);
}

int commit_decode(const u8 *p, size_t len, u64 *generation, struct fault *f)
{
	struct reader r = { .p = p, .left = len };

	*generation = read_u64(&r);
	return whole(&r, WIRE_COMMIT, f);
}

void committed_encode(struct writer *w, const struct msg_committed *m)
{
	write_u64(w, m->generation);
	write_u64(w, m->pages);
}

int committed_decode(const u8 *p, size_t len, struct msg_committed *m, struct fault *f)
{
	struct reader r = { .p = p, .left = len };

	m->generation = read_u64(&r);
	m->pages = read_u64(&r);
	return whole(&r, WIRE_COMMITTED, f);
}

void failed_encode(struct writer *w, const struct msg_failed *m)
{
	write_u64(w, m->generation);
	write_u32(w, m->fault.code);
	text_encode(w, m->fault.text);
}

int failed_decode(const u8 *p, size_t len, struct msg_failed *m, struct fault *f)
{
	struct reader r = { .p = p, .left = len };

	m->generation = read_u64(&r);
	m->fault.code = read_u32(&r);
	if (text_decode(&r, WIRE_FAILED, m->fault.text, f))
		return -1;
	if (m->fault.code == WIRE_OK)
		return field_bad(f, WIRE_FAILED, "code", 0);
	return 0;
}
