// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Collecting what the kernel wants at once: the layout and the meta-data of a delta. One
 * at a time for a link, of the size that BEGIN said and no larger.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "image.h"

void collect_end(struct collect *col)
{
	free(col->segments);
	free(col->meta);
	memset(col, 0, sizeof(*col));
}

int collect_begin(struct collect *col, struct chan *c, const struct msg_begin *m)
{
	col->chan = c;
	col->begin = *m;
	col->segments = calloc(MAX(m->segments, 1U), sizeof(*col->segments));
	col->meta = malloc(MAX(m->meta_len, 1U));
	if (col->segments && col->meta)
		return 0;
	collect_end(col);
	return -1;
}

int collect_layout(struct collect *col, u32 page_size, const u8 *p, u32 len,
		   struct fault *f)
{
	int n = layout_decode(p, len, page_size, col->end,
			      col->segments + col->nr_segments,
			      col->begin.segments - col->nr_segments, f);
	const struct cptdev_segment *last;

	if (n < 0)
		return -1;
	col->nr_segments += n;
	last = &col->segments[col->nr_segments - 1];
	col->end = last->addr + last->len;
	return 0;
}

int collect_meta(struct collect *col, const u8 *p, u32 len, struct fault *f)
{
	if (col->nr_segments < col->begin.segments)
		return fault_set(f, WIRE_E_PROTOCOL, "META before the layout is whole");
	if (!len || len > col->begin.meta_len - col->meta_len)
		return fault_set(f, WIRE_E_PROTOCOL,
				 "META of %u bytes, %u are missing", len,
				 col->begin.meta_len - col->meta_len);
	memcpy(col->meta + col->meta_len, p, len);
	col->meta_len += len;
	return 0;
}

bool collect_whole(const struct collect *col)
{
	return col->nr_segments == col->begin.segments &&
		col->meta_len == col->begin.meta_len;
}
