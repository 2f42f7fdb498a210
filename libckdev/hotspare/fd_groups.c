// SPDX-License-Identifier: LGPL-2.1-or-later
/* libhotspare: multicast groups that a socket is in. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "fd.h"
#include "js.h"

#define SOURCES_MAX	64

/*
 * At the cut
 */

struct groups {
	const struct hs_fd *f;
	struct json_object *list;
	struct hs_error *e;
};

union filter {
	struct group_filter gf;
	char room[GROUP_FILTER_SIZE(SOURCES_MAX)];
};

static const void *address_in(const struct sockaddr_storage *a)
{
	return a->ss_family == AF_INET ? (const void *)&((const struct sockaddr_in *)a)->sin_addr :
		(const void *)&((const struct sockaddr_in6 *)a)->sin6_addr;
}

static void put_group(struct groups *g, const char *interface, const struct group_filter *gf)
{
	struct json_object *o = json_object_new_object(), *sources = json_object_new_array();
	char text[INET6_ADDRSTRLEN];
	unsigned int i;

	js_put_text(o, "interface", interface);
	js_put_text(o, "group", inet_ntop(gf->gf_group.ss_family, address_in(&gf->gf_group), text,
					  sizeof(text)));
	js_put_bool(o, "include", gf->gf_fmode == MCAST_INCLUDE);
	for (i = 0; i < gf->gf_numsrc; i++) {
		inet_ntop(gf->gf_slist[i].ss_family, address_in(&gf->gf_slist[i]), text, sizeof(text));
		json_object_array_add(sources, json_object_new_string(text));
	}
	json_object_object_add(o, "sources", sources);
	json_object_array_add(g->list, o);
}

/* Is the socket in this group, which somebody here is in? */
static int ask_group(struct groups *g, unsigned int index, const char *interface, int family,
		     const void *address)
{
	union filter u = { .gf = { .gf_interface = index, .gf_numsrc = SOURCES_MAX } };
	socklen_t len = sizeof(u);

	u.gf.gf_group.ss_family = (sa_family_t)family;
	memcpy((void *)(uintptr_t)address_in(&u.gf.gf_group), address, family == AF_INET ? 4 : 16);
	if (getsockopt(g->f->fd, family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6, MCAST_MSFILTER, &u,
		       &len))
		return 0;
	if (u.gf.gf_numsrc > SOURCES_MAX)
		return hs_fail(g->e, E2BIG, "descriptor %d: a multicast group with more than %d "
			       "sources can't be saved", g->f->fd, SOURCES_MAX);
	put_group(g, interface, &u.gf);
	return 0;
}

/* /proc/net/igmp has interfaces, and behind each its groups, in hexadecimal as memory has them. */
static int ask_groups4(struct groups *g)
{
	FILE *f = fopen("/proc/net/igmp", "re");
	char line[256], interface[64] = "", *colon;
	unsigned int index = 0, address;
	int ret = 0;

	while (f && !ret && fgets(line, sizeof(line), f)) {
		if (line[0] == '\t') {
			if (index && sscanf(line, "%x", &address) == 1)
				ret = ask_group(g, index, interface, AF_INET, &address);
			continue;
		}
		colon = strrchr(line, ':');
		if (colon)
			*colon = 0;
		if (sscanf(line, "%u %63s", &index, interface) != 2)
			index = 0;
	}
	if (f)
		fclose(f);
	return ret;
}

static int ask_groups6(struct groups *g)
{
	FILE *f = fopen("/proc/net/igmp6", "re");
	char line[256], interface[64], hex[33];
	unsigned int index, i, byte;
	unsigned char address[16];
	int ret = 0;

	while (f && !ret && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%u %63s %32s", &index, interface, hex) != 3 || strlen(hex) != 32)
			continue;
		for (i = 0; i < 16 && sscanf(hex + 2 * i, "%2x", &byte) == 1; i++)
			address[i] = (unsigned char)byte;
		ret = ask_group(g, index, interface, AF_INET6, address);
	}
	if (f)
		fclose(f);
	return ret;
}

int hs_fd_groups_capture(const struct hs_fd *f, int domain, struct json_object *to,
			 struct hs_error *e)
{
	struct groups g = { .f = f, .list = json_object_new_array(), .e = e };
	int ret = ask_groups4(&g);

	if (!ret && domain == AF_INET6)
		ret = ask_groups6(&g);
	if (!ret && json_object_array_length(g.list))
		json_object_object_add(to, "groups", g.list);
	else
		json_object_put(g.list);
	return ret;
}

/*
 * At the restart
 */

/* IPv4 or IPv6, as the text says. */
static bool get_address(const char *text, struct sockaddr_storage *a)
{
	a->ss_family = strchr(text, ':') ? AF_INET6 : AF_INET;
	return inet_pton(a->ss_family, text, (void *)(uintptr_t)address_in(a)) == 1;
}

static int join(const struct hs_fd *f, int fd, const union filter *u, const char *interface,
		struct hs_error *e)
{
	const struct group_filter *gf = &u->gf;
	const struct group_req r = { gf->gf_interface, gf->gf_group };
	int level = gf->gf_group.ss_family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;

	if (!gf->gf_interface)
		return hs_fail(e, ENODEV, "descriptor %d: its multicast group: the interface %s "
			       "doesn't exist here", f->fd, interface);
	if (setsockopt(fd, level, MCAST_JOIN_GROUP, &r, sizeof(r)) ||
	    ((gf->gf_fmode == MCAST_INCLUDE || gf->gf_numsrc) &&
	     setsockopt(fd, level, MCAST_MSFILTER, u, GROUP_FILTER_SIZE(gf->gf_numsrc))))
		return hs_fd_cannot(f, "multicast group", e);
	return 0;
}

static int set_group(const struct hs_fd *f, int fd, struct json_object *o, struct js_from *from,
		     struct hs_error *e)
{
	struct js_from in = { .o = o };
	struct json_object *sources;
	const char *interface;
	union filter u = { .room = "" };
	size_t i, nr;

	if (!json_object_is_type(o, json_type_object)) {
		from->bad = from->bad ?: "groups";
		return 0;
	}
	interface = js_get_text(&in, "interface");
	if (!get_address(js_get_text(&in, "group"), &u.gf.gf_group))
		in.bad = in.bad ?: "group";
	u.gf.gf_fmode = js_get_bool(&in, "include") ? MCAST_INCLUDE : MCAST_EXCLUDE;
	sources = js_get(&in, "sources", json_type_array, true);
	nr = sources ? json_object_array_length(sources) : 0;
	if (nr > SOURCES_MAX)
		in.bad = in.bad ?: "sources";
	for (i = 0; !in.bad && i < nr; i++)
		if (!get_address(json_object_get_string(json_object_array_get_idx(sources, i)) ?: "",
				 &u.gf.gf_slist[i]))
			in.bad = "sources";
	from->bad = from->bad ?: in.bad;
	if (from->bad || fd < 0)
		return 0;
	u.gf.gf_numsrc = (uint32_t)nr;
	u.gf.gf_interface = hs_fd_interface(interface);
	return join(f, fd, &u, interface, e);
}

int hs_fd_groups_set(const struct hs_fd *f, int fd, struct js_from *from, struct hs_error *e)
{
	struct json_object *list = js_get(from, "groups", json_type_array, false);
	size_t i;

	for (i = 0; list && i < json_object_array_length(list) && !from->bad; i++)
		if (set_group(f, fd, json_object_array_get_idx(list, i), from, e))
			return -1;
	return 0;
}
