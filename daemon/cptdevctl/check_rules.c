// SPDX-License-Identifier: GPL-2.0-or-later
/* cptdevctl check: what the facts mean, and the next step. */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "check.h"

static void finding(struct findings *out, enum level level, const char *name,
		    const char *next, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

static void finding(struct findings *out, enum level level, const char *name,
		    const char *next, const char *fmt, ...)
{
	struct finding *f = &out->list[out->nr];
	va_list ap;

	if (out->nr == FINDINGS_MAX)
		return;
	out->nr++;
	f->level = level;
	f->name = name;
	snprintf(f->next, sizeof(f->next), "%s", next ? next : "");
	va_start(ap, fmt);
	vsnprintf(f->text, sizeof(f->text), fmt, ap);
	va_end(ap);
}

/* "6.1.0-18-cloud-amd64" */
static const char *flavour(const char *release)
{
	if (strstr(release, "-cloud-"))
		return "Debian, cloud flavour";
	if (strstr(release, "-rt-"))
		return "Debian, real-time flavour";
	if (strstr(release, "-amd64"))
		return "Debian";
	return "not a stock Debian kernel";
}

static void rule_kernel(const struct facts *f, struct findings *out)
{
	unsigned int major = 0, minor = 0;

	sscanf(f->release, "%u.%u", &major, &minor);
	if (strcmp(f->machine, "x86_64"))
		finding(out, LEVEL_WARN, "kernel", NULL,
			"%s on %s: only x86_64 is tested", f->release, f->machine);
	else if (major < 6 || (major == 6 && minor < 1))
		finding(out, LEVEL_FAIL, "kernel", "boot a kernel 6.1 or newer",
			"%s is older than any kernel that the module supports", f->release);
	else
		finding(out, LEVEL_OK, "kernel", NULL, "%s (%s)", f->release,
			flavour(f->release));
}

static bool signatures_matter(const struct facts *f)
{
	return f->secure_boot == YES || f->sig_enforce == YES ||
		(*f->lockdown && strcmp(f->lockdown, "none"));
}

static void rule_signatures(const struct facts *f, struct findings *out)
{
	if (!signatures_matter(f))
		return;
	finding(out, f->loaded ? LEVEL_OK : LEVEL_FAIL, "signature",
		f->loaded ? NULL :
		"sign the module with a key that the firmware knows (mokutil --import), or switch Secure Boot off",
		"only signed modules are loaded here (Secure Boot %s, lockdown %s); loading an unsigned one fails with \"Required key not available\" or \"Operation not permitted\"",
		f->secure_boot == YES ? "on" : "off", *f->lockdown ? f->lockdown : "none");
}

/* An update doesn't replace a module that is in use. */
static bool another_is_loaded(const struct facts *f)
{
	return *f->source_loaded && *f->source_found && strcmp(f->source_loaded, f->source_found);
}

/* Of Debian's package: DKMS builds it when a kernel is installed. */
static void rule_dkms(const struct facts *f, struct findings *out)
{
	char next[384];

	if (*f->build_log) {
		snprintf(next, sizeof(next), "less %s; when its cause is mended: dkms autoinstall -k %s && modprobe cptdev",
			 f->build_log, f->release);
		finding(out, LEVEL_FAIL, "module", next,
			"DKMS couldn't build cptdev for this kernel, %s; the compiler's messages are in %s",
			f->release, f->build_log);
	} else if (f->headers) {
		snprintf(next, sizeof(next), "dkms autoinstall -k %s && modprobe cptdev", f->release);
		finding(out, LEVEL_FAIL, "module", next,
			"DKMS hasn't built cptdev for this kernel, %s", f->release);
	} else {
		snprintf(next, sizeof(next),
			 "apt-get install linux-headers-%s && dkms autoinstall -k %s && modprobe cptdev",
			 f->release, f->release);
		finding(out, LEVEL_FAIL, "module", next,
			"DKMS couldn't build cptdev for this kernel, %s: its headers aren't installed",
			f->release);
	}
}

static void rule_module(const struct facts *f, struct findings *out)
{
	if (f->loaded && another_is_loaded(f))
		finding(out, LEVEL_WARN, "module",
			"when no program uses it any more: systemctl stop cptdevd; cptdevctl replica remove NAME (for each replica); rmmod cptdev; modprobe cptdev; systemctl start cptdevd; or reboot",
			"the module that is loaded (version %s) isn't the one that is installed",
			*f->version ? f->version : "unknown");
	else if (f->loaded)
		finding(out, LEVEL_OK, "module", NULL, "cptdev is loaded%s%s",
			*f->version ? ", version " : "", f->version);
	else if (f->installed)
		finding(out, LEVEL_FAIL, "module", "modprobe cptdev",
			"cptdev is installed for this kernel, but not loaded");
	else if (f->dkms)
		rule_dkms(f, out);
	else if (f->headers)
		finding(out, LEVEL_FAIL, "module",
			"make -C module && make -C module modules_install && depmod && modprobe cptdev",
			"cptdev isn't installed for this kernel; its headers are there");
	else
		finding(out, LEVEL_FAIL, "module",
			"apt-get install linux-headers-$(uname -r), then make -C module",
			"cptdev isn't installed for this kernel, nor are its headers");
}

static void rule_headers(const struct facts *f, struct findings *out)
{
	if (f->headers)
		finding(out, LEVEL_OK, "headers", NULL, "kernel headers are installed");
	else if (f->loaded)
		finding(out, LEVEL_WARN, "headers",
			"apt-get install linux-headers-$(uname -r)",
			"no kernel headers: the module can't be built here");
}

static void rule_abi(const struct facts *f, struct findings *out)
{
	if (f->info_err)
		return;
	if (f->info.abi_version == CPTDEV_ABI_VERSION)
		finding(out, LEVEL_OK, "abi", NULL, "the module speaks ABI %u",
			f->info.abi_version);
	else
		finding(out, LEVEL_FAIL, "abi", "install module and tools of one version",
			"the module speaks ABI %u, this tool %u", f->info.abi_version,
			CPTDEV_ABI_VERSION);
}

static void rule_device(const struct facts *f, struct findings *out)
{
	if (!f->loaded && !f->device)
		return;
	if (!f->device)
		finding(out, LEVEL_FAIL, "device", "look into dmesg; is devtmpfs mounted?",
			"%s isn't there although the module is loaded", CPTDEV_DEVICE);
	else if (!f->open_err)
		finding(out, LEVEL_OK, "device", NULL, "%s opens (mode %04o, group %s)",
			CPTDEV_DEVICE, f->device_mode, f->device_group);
	else
		finding(out, LEVEL_FAIL, "device",
			f->open_err == EACCES ?
			"run as root, or: usermod -aG cptdev USER, and log in again" :
			"look into dmesg",
			"%s (mode %04o, group %s) can't be opened: %s", CPTDEV_DEVICE,
			f->device_mode, f->device_group, strerror(f->open_err));
}

/* Programs that aren't root's need the group; the udev rule gives it. */
static void rule_group(const struct facts *f, struct findings *out)
{
	if (!f->device)
		return;
	if (!strcmp(f->device_group, "cptdev"))
		finding(out, LEVEL_OK, "group", NULL,
			"%s belongs to the group cptdev%s", CPTDEV_DEVICE,
			f->in_group ? ", and you are in it" : "");
	else
		finding(out, LEVEL_WARN, "group",
			"install the udev rule and the group (make install), then: udevadm trigger --name-match=cptdev",
			"%s belongs to the group %s: only root's programs can use it",
			CPTDEV_DEVICE, f->device_group);
}

static void rule_capability(const struct facts *f, struct findings *out)
{
	if (f->capable)
		finding(out, LEVEL_OK, "capability", NULL,
			"you may promote (CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN)");
	else
		finding(out, LEVEL_WARN, "capability", "run as root to promote",
			"you may look, but not promote: CAP_CHECKPOINT_RESTORE is missing");
}

static void rule_netlink(const struct facts *f, struct findings *out)
{
	if (!f->loaded)
		return;
	if (!f->family_err)
		finding(out, LEVEL_OK, "netlink", NULL, "the family \"%s\" answers",
			CPTDEV_GENL_NAME);
	else
		finding(out, LEVEL_FAIL, "netlink",
			"use the host's network namespace: the family exists only there",
			"the netlink family \"%s\" doesn't answer: %s", CPTDEV_GENL_NAME,
			strerror(f->family_err));
}

static void rule_memory(const struct facts *f, struct findings *out)
{
	if (*f->thp)
		finding(out, LEVEL_OK, "huge-pages", NULL,
			"transparent huge pages: %s%s", f->thp,
			strcmp(f->thp, "always") ? "" :
			"; they are split by the first write after a snapshot");
	if (f->ksm == YES)
		finding(out, LEVEL_WARN, "ksm", "echo 0 >/sys/kernel/mm/ksm/run",
			"same-page merging (KSM) runs: it makes unchanged pages look changed");
	if (f->swap_kib)
		finding(out, LEVEL_OK, "swap", NULL,
			"%llu MiB of swap: pages that a snapshot needs are read back, which lengthens the pause",
			f->swap_kib / 1024);
}

/* Findings about sessions that aren't shipped; of further ones the number is told. */
#define SESSIONS_SHOWN	4

/* A program that waits for its spare answers nobody while it has none. */
static void rule_sessions(struct json_object *list, struct findings *out)
{
	size_t i, n = list ? json_object_array_length(list) : 0, bad = 0;

	for (i = 0; i < n; i++) {
		struct json_object *s = json_object_array_get_idx(list, i);
		const char *error = js_get_str(s, "error");
		const char *name = js_get_str(s, "name");

		if (!error || !*error)
			continue;
		if (++bad <= SESSIONS_SHOWN)
			finding(out, LEVEL_FAIL, "session",
				"cptdevctl status; cptdevctl check on the peer",
				"session %s has no spare: %s", name ? name : "?", error);
	}
	if (bad > SESSIONS_SHOWN)
		finding(out, LEVEL_FAIL, "session", "cptdevctl status",
			"%zu more sessions have no spare", bad - SESSIONS_SHOWN);
	else if (n && !bad)
		finding(out, LEVEL_OK, "session", NULL, "%zu session%s followed by the peer",
			n, n == 1 ? " is" : "s are");
}

/* "127.0.0.1:7475", "[::1]:7475", or by name. */
static bool is_here(const char *address)
{
	return !strncmp(address, "127.", 4) || !strncmp(address, "[::1]", 5) ||
		!strncmp(address, "[::ffff:127.", 12) || !strncmp(address, "localhost:", 10);
}

static void rule_protection(struct json_object *out_link, const char *address, struct findings *out)
{
	const char *key = js_get_str(out_link, "tls_key");

	if (key)
		finding(out, LEVEL_OK, "encryption", NULL, "the link is under TLS with key %s", key);
	else if (!is_here(address))
		finding(out, LEVEL_WARN, "encryption",
			"cptdevctl pki init, or cptdevctl key; see cptdevd.conf(5)",
			"the link to %s is neither encrypted nor authenticated: anybody on the network path can read and change the memory that is shipped",
			address);
}

static void rule_peer(struct json_object *peer, struct findings *out)
{
	struct json_object *o = js_at(peer, "outgoing"), *in = js_at(peer, "incoming");
	const char *state = js_get_str(o, "state"), *error = js_get_str(o, "error");
	const char *address = js_get_str(o, "address");

	if (state && !strcmp(state, "up")) {
		finding(out, LEVEL_OK, "peer", NULL, "linked to %s, %.1f ms away",
			address, js_get_u64(o, "rtt_us") / 1000.0);
		rule_protection(o, address, out);
	} else if (state) {
		finding(out, LEVEL_FAIL, "peer",
			"is cptdevd running there, does a firewall let the port through, does it know this host as its peer?",
			"no link to %s: %s", address, error ? error : state);
	}
	state = js_get_str(in, "state");
	if (state && !strcmp(state, "up"))
		finding(out, LEVEL_OK, "peer-in", NULL, "the peer is linked to this host");
	else
		finding(out, LEVEL_WARN, "peer-in", NULL,
			"the peer isn't linked to this host: nothing is received");
	rule_sessions(js_at(o, "sessions"), out);
}

/* What the daemon waits for, or didn't take. */
static void rule_waits(struct json_object *daemon, struct findings *out)
{
	const char *listen = js_get_str(daemon, "listen_error");
	const char *conf = js_get_str(daemon, "configuration_error");
	struct json_object *module = js_at(daemon, "module");

	if (module && !json_object_get_boolean(module))
		finding(out, LEVEL_FAIL, "daemon", "modprobe cptdev; journalctl -u cptdevd",
			"cptdevd waits for the module: nothing is shipped or received");
	if (listen)
		finding(out, LEVEL_FAIL, "listen", "is the address in [listen] an address of this host?",
			"cptdevd waits for the address to listen on: %s", listen);
	if (conf)
		finding(out, LEVEL_WARN, "configuration",
			"cptdevd --check-config; systemctl reload cptdevd",
			"the last change of the configuration isn't in use: %s", conf);
}

static void rule_records(struct json_object *list, struct findings *out)
{
	size_t i, n = list ? json_object_array_length(list) : 0, bad = 0;

	for (i = 0; i < n; i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		const char *state = js_get_str(o, "state"), *name = js_get_str(o, "name");

		if (!state || (strcmp(state, "damaged") && strcmp(state, "split-brain") &&
			       strcmp(state, "overtaken")))
			continue;
		if (++bad > SESSIONS_SHOWN)
			continue;
		if (!strcmp(state, "damaged"))
			finding(out, LEVEL_FAIL, "record",
				"look at it; if its data may be lost: cptdevctl forget",
				"the record of %s is damaged: no program can go on under this name", name);
		else if (!strcmp(state, "overtaken"))
			finding(out, LEVEL_FAIL, "record",
				"cptdevctl status; on the host whose data is given up: cptdevctl forget --force",
				"%s is blocked: another host took over and has lost its memory since", name);
		else
			finding(out, LEVEL_FAIL, "record",
				"cptdevctl status on both hosts; on the one whose data is given up: cptdevctl forget --force",
				"split brain of %s: both hosts went on, and neither acknowledges", name);
	}
	if (bad > SESSIONS_SHOWN)
		finding(out, LEVEL_FAIL, "record", "cptdevctl status", "%zu more records",
			bad - SESSIONS_SHOWN);
}

/* An update of the packages doesn't end the daemon. */
static void rule_version(const char *version, struct findings *out)
{
	if (version && strcmp(version, VERSION))
		finding(out, LEVEL_WARN, "daemon",
			"when its services may pause, or have moved to the other host: systemctl restart cptdevd",
			"cptdevd %s answers, but this tool is of version " VERSION, version);
	else
		finding(out, LEVEL_OK, "daemon", NULL, "cptdevd %s answers", version);
}

static void rule_daemon(const struct facts *f, struct findings *out)
{
	struct json_object *peers = js_at(f->daemon, "peers");
	size_t i;

	if (!f->daemon) {
		finding(out, LEVEL_FAIL, "daemon",
			f->daemon_err == EACCES ? "run as root" :
			"systemctl start cptdevd; journalctl -u cptdevd", "%s",
			f->daemon_why);
		return;
	}
	rule_version(js_get_str(f->daemon, "version"), out);
	rule_waits(f->daemon, out);
	rule_records(js_at(f->daemon, "records"), out);
	for (i = 0; peers && i < json_object_array_length(peers); i++)
		rule_peer(json_object_array_get_idx(peers, i), out);
}

/* Without the module by choice, or because there is none: it isn't asked for then. */
static bool rule_engine(const struct facts *f, struct findings *out)
{
	const char *engine = js_get_str(f->daemon, "engine");

	if (!engine || strcmp(engine, "soft"))
		return false;
	finding(out, f->loaded ? LEVEL_WARN : LEVEL_OK, "engine",
		f->loaded ? "engine = module in cptdevd.conf; systemctl restart cptdevd" : NULL,
		"cptdevd runs without the module (engine soft): its replicas are lost when it ends%s",
		f->loaded ? "; the module is loaded, and programs that use it aren't shipped" : "");
	/* If the module was installed once, a kernel without it may be a surprise. */
	if (!f->loaded && f->dkms)
		rule_module(f, out);
	return true;
}

static void rules_module(const struct facts *f, struct findings *out)
{
	rule_module(f, out);
	rule_signatures(f, out);
	rule_headers(f, out);
	rule_abi(f, out);
	rule_device(f, out);
	rule_group(f, out);
	rule_capability(f, out);
	rule_netlink(f, out);
}

void rules_apply_module(const struct facts *f, struct findings *out)
{
	out->nr = 0;
	rule_kernel(f, out);
	rule_module(f, out);
	rule_signatures(f, out);
}

void rules_apply(const struct facts *f, struct findings *out)
{
	out->nr = 0;
	rule_kernel(f, out);
	if (!rule_engine(f, out))
		rules_module(f, out);
	rule_memory(f, out);
	rule_daemon(f, out);
}
