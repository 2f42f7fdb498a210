// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * libckdev: what is mapped in this process, read line by line without memory of its own.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

int ckdev_maps_open(struct ckdev_maps *maps)
{
	int saved = errno;

	maps->fill = 0;
	maps->pos = 0;
	/* /proc/self is the first thread: its maps are empty when that has ended. */
	maps->fd = (int)ckdev_result(open("/proc/thread-self/maps",
					  O_RDONLY | O_CLOEXEC), saved);
	return maps->fd < 0 ? maps->fd : 0;
}

void ckdev_maps_close(struct ckdev_maps *maps)
{
	int saved = errno;

	close(maps->fd);
	errno = saved;
}

/* The next character, or 0 at the end, or -errno. */
static int maps_getc(struct ckdev_maps *maps)
{
	int saved = errno;

	if (maps->pos == maps->fill) {
		long n;

		do {
			n = ckdev_result(read(maps->fd, maps->buf, sizeof(maps->buf)),
					 saved);
		} while (n == -EINTR);
		if (n <= 0)
			return (int)n;
		maps->fill = (size_t)n;
		maps->pos = 0;
	}
	return (unsigned char)maps->buf[maps->pos++];
}

/* Returns 1, 0 at the end, or -errno. */
static int maps_line(struct ckdev_maps *maps, char *line, size_t size)
{
	size_t len = 0;
	int c = maps_getc(maps);

	if (c <= 0)
		return c;
	for (; c > 0 && c != '\n'; c = maps_getc(maps))
		if (len < size - 1)
			line[len++] = (char)c;
	line[len] = '\0';
	return c < 0 ? c : 1;
}

static bool ends_with(const char *s, const char *end)
{
	size_t len = strlen(s), n = strlen(end);

	return len >= n && !strcmp(s + len - n, end);
}

/* Returns 1, 0 at the end, or -errno. */
int ckdev_maps_next(struct ckdev_maps *maps, struct ckdev_map *map)
{
	uint64_t inode;
	char perms[5];
	int ret;

	ret = maps_line(maps, map->line, sizeof(map->line));
	if (ret <= 0)
		return ret;
	if (sscanf(map->line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %*s %" SCNu64,
		   &map->start, &map->end, perms, &map->offset, &inode) != 5)
		return -EIO;
	map->write = perms[1] == 'w';
	map->shared = perms[3] == 's';
	/* The kernel takes a private mapping of /dev/zero for anonymous. */
	map->file = inode && !ends_with(map->line, " /dev/zero");
	return 1;
}

/* "rw-p 00000000 00:00 0    [heap]": the file's name is worth the room. */
static void squeeze(char *s)
{
	char *to = s;

	for (; *s; s++)
		if (s[0] != ' ' || s[1] != ' ')
			*to++ = *s;
	*to = '\0';
}

static bool find_map(uint64_t addr, struct ckdev_map *map)
{
	struct ckdev_maps maps;
	bool found = false;

	if (ckdev_maps_open(&maps) < 0)
		return false;
	while (!found && ckdev_maps_next(&maps, map) > 0)
		found = addr >= map->start && addr < map->end;
	ckdev_maps_close(&maps);
	return found;
}

int ckdev_describe_refusal(const struct ckdev_refusal *why, char *buf, size_t len)
{
	struct ckdev_map map;
	int saved = errno, n;

	map.line[0] = '\0';
	if (find_map(CKDEV_PTR(why->addr), &map))
		squeeze(map.line);
	n = snprintf(buf, len, "0x%" PRIx64 ": %s%s%s", (uint64_t)CKDEV_PTR(why->addr),
		     ckdev_strreason(why->reason), map.line[0] ? ": " : "", map.line);
	errno = saved;
	if (n < 0 || len == 0)
		return 0;
	return (size_t)n < len ? n : (int)len - 1;
}
