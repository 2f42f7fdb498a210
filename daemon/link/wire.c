// SPDX-License-Identifier: GPL-2.0-or-later
/* Names for the numbers of the wire format, and faults. */
#include <stdarg.h>
#include <stdio.h>

#include "wire.h"

int fault_set(struct fault *f, u32 code, const char *fmt, ...)
{
	va_list ap;

	f->code = code;
	va_start(ap, fmt);
	vsnprintf(f->text, sizeof(f->text), fmt, ap);
	va_end(ap);
	return -1;
}

const char *wire_type_name(u16 type)
{
	switch ((enum wire_type)type) {
	case WIRE_HELLO:		return "HELLO";
	case WIRE_WELCOME:		return "WELCOME";
	case WIRE_REFUSE:		return "REFUSE";
	case WIRE_STARTTLS:		return "STARTTLS";
	case WIRE_HEARTBEAT:		return "HEARTBEAT";
	case WIRE_BYE:			return "BYE";
	case WIRE_TERM:			return "TERM";
	case WIRE_LISTED:		return "LISTED";
	case WIRE_ENDED:		return "ENDED";
	case WIRE_TAKE_BACK:		return "TAKE_BACK";
	case WIRE_TAKE_BACK_STATE:	return "TAKE_BACK_STATE";
	case WIRE_SWITCH:		return "SWITCH";
	case WIRE_SWITCH_STATE:		return "SWITCH_STATE";
	case WIRE_FETCH:		return "FETCH";
	case WIRE_FETCH_STATE:		return "FETCH_STATE";
	case WIRE_SESSION:		return "SESSION";
	case WIRE_SESSION_STATE:	return "SESSION_STATE";
	case WIRE_GONE:			return "GONE";
	case WIRE_BEGIN:		return "BEGIN";
	case WIRE_LAYOUT:		return "LAYOUT";
	case WIRE_META:			return "META";
	case WIRE_DATA:			return "DATA";
	case WIRE_COMMIT:		return "COMMIT";
	case WIRE_COMMITTED:		return "COMMITTED";
	case WIRE_FAILED:		return "FAILED";
	case WIRE_ABORT:		return "ABORT";
	case WIRE_PACKED:		return "PACKED";
	case WIRE_VERIFY:		return "VERIFY";
	case WIRE_VERIFIED:		return "VERIFIED";
	case WIRE_READ:			return "READ";
	case WIRE_PAGES:		return "PAGES";
	}
	return NULL;
}

const char *wire_code_name(u32 code)
{
	switch ((enum wire_code)code) {
	case WIRE_OK:			return "ok";
	case WIRE_E_PROTOCOL:		return "protocol";
	case WIRE_E_CHECKSUM:		return "checksum";
	case WIRE_E_VERSION:		return "version";
	case WIRE_E_FEATURE:		return "feature";
	case WIRE_E_PAGE_SIZE:		return "page-size";
	case WIRE_E_IDENTITY:		return "identity";
	case WIRE_E_LIMIT:		return "limit";
	case WIRE_E_TIMEOUT:		return "timeout";
	case WIRE_E_MACHINE:		return "machine";
	case WIRE_E_FENCED:		return "fenced";
	case WIRE_E_OTHER:		return "other-session";
	case WIRE_E_CONFLICT:		return "conflict";
	case WIRE_E_OWNER:		return "owner";
	case WIRE_E_BUSY:		return "busy";
	case WIRE_E_GAP:		return "gap";
	case WIRE_E_STALE:		return "stale";
	case WIRE_E_MEMORY:		return "memory";
	case WIRE_E_KERNEL:		return "kernel";
	case WIRE_E_BASE:		return "base";
	}
	return "unknown";
}
