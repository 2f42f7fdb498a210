/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cptdevctl check: facts are gathered (check_facts.c), rules make findings of them
 * (check_rules.c). Rules touch nothing, so that a test can give them any machine.
 */
#ifndef CPTDEVCTL_CHECK_H
#define CPTDEVCTL_CHECK_H

#include "ctl.h"

enum tri { UNKNOWN = -1, NO = 0, YES = 1 };

struct facts {
	char release[128];
	char machine[128];
	/* the module */
	bool loaded;
	char version[64];		/* empty: it has none */
	bool installed;			/* depmod knows it for this kernel */
	bool headers;
	bool dkms;			/* its source is there for DKMS: Debian's package cptdev-dkms */
	char build_log[128];		/* of DKMS' build for this kernel that failed; empty: none did */
	/* srcversion of the module that is loaded, and of the one that modprobe finds; empty: unknown */
	char source_loaded[32];
	char source_found[32];
	enum tri secure_boot;
	char lockdown[32];		/* none, integrity, confidentiality; empty: unknown */
	enum tri sig_enforce;
	/* the device */
	bool device;
	u32 device_mode;
	u32 device_gid;
	char device_group[64];
	bool in_group;
	bool root;
	bool capable;
	int open_err;			/* of the device, 0: it opens */
	int info_err;
	struct cptdev_info info;
	int family_err;			/* of the netlink family */
	/* the machine */
	char thp[32];			/* always, madvise, never; empty: unknown */
	enum tri ksm;
	u64 swap_kib;
	/* the daemon */
	char socket[128];
	int daemon_err;
	char daemon_why[256];
	struct json_object *daemon;
};

enum level { LEVEL_OK, LEVEL_WARN, LEVEL_FAIL };

struct finding {
	enum level level;
	const char *name;
	char text[384];
	char next[384];			/* empty: nothing to do */
};

#define FINDINGS_MAX	24

struct findings {
	struct finding list[FINDINGS_MAX];
	unsigned int nr;
};

void facts_gather(struct facts *f, struct kernel *k, const char *socket);
void facts_free(struct facts *f);
void rules_apply(const struct facts *f, struct findings *out);
/* Only whether the module is there and the right one; the daemon isn't asked. */
void facts_gather_module(struct facts *f);
void rules_apply_module(const struct facts *f, struct findings *out);

void findings_text(const struct findings *f, FILE *to);
struct json_object *findings_json(const struct findings *f);
enum level findings_worst(const struct findings *f);

#endif
