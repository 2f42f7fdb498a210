/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cptdev: tracepoints. Each shows what a user wants to see in a trace: how many pages were
 * visited, how many had changed, how long the process was stopped.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM cptdev

#if !defined(_CPTDEV_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _CPTDEV_TRACE_H

#include <linux/tracepoint.h>

#include "cptdev.h"

TRACE_EVENT(cptdev_scan,
	TP_PROTO(const struct cptdev_session *s, const struct cptdev_scan *arg, int ret),
	TP_ARGS(s, arg, ret),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u32, flags)
		__field(u32, regions)
		__field(u64, pages)
		__field(u64, dirty)
		__field(int, ret)
	),
	TP_fast_assign(
		__entry->id = s->id;
		__entry->flags = arg->flags;
		__entry->regions = arg->nr;
		__entry->pages = arg->pages;
		__entry->dirty = arg->dirty;
		__entry->ret = ret;
	),
	TP_printk("session=%llu flags=%#x pages=%llu dirty=%llu regions=%u ret=%d",
		  __entry->id, __entry->flags, __entry->pages, __entry->dirty,
		  __entry->regions, __entry->ret)
);

TRACE_EVENT(cptdev_snapshot,
	TP_PROTO(const struct cptdev_session *s, const struct cptdev_snapshot *arg,
		 int ret),
	TP_ARGS(s, arg, ret),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u32, flags)
		__field(u64, generation)
		__field(u64, base)
		__field(u64, visited)
		__field(u64, pages)
		__field(u64, holes)
		__field(u64, copied)
		__field(u64, pause_ns)
		__field(int, ret)
	),
	TP_fast_assign(
		__entry->id = s->id;
		__entry->flags = arg->flags;
		__entry->generation = arg->generation;
		__entry->base = arg->base;
		__entry->visited = arg->visited;
		__entry->pages = arg->pages;
		__entry->holes = arg->holes;
		__entry->copied = arg->copied;
		__entry->pause_ns = arg->pause_ns;
		__entry->ret = ret;
	),
	TP_printk("session=%llu flags=%#x generation=%llu base=%llu visited=%llu changed=%llu holes=%llu copied=%llu pause=%lluns ret=%d",
		  __entry->id, __entry->flags, __entry->generation, __entry->base,
		  __entry->visited, __entry->pages, __entry->holes, __entry->copied,
		  __entry->pause_ns, __entry->ret)
);

TRACE_EVENT(cptdev_round,
	TP_PROTO(const struct cptdev_session *s, const struct cptdev_round *arg, int ret),
	TP_ARGS(s, arg, ret),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u32, flags)
		__field(u64, base)
		__field(u64, pass)
		__field(u64, next)
		__field(u64, pages)
		__field(u64, pause_ns)
		__field(int, ret)
	),
	TP_fast_assign(
		__entry->id = s->id;
		__entry->flags = arg->flags;
		__entry->base = arg->base;
		__entry->pass = arg->pass;
		__entry->next = arg->addr;
		__entry->pages = arg->pages;
		__entry->pause_ns = arg->pause_ns;
		__entry->ret = ret;
	),
	TP_printk("session=%llu flags=%#x base=%llu pass=%llu next=%#llx pages=%llu pause=%lluns ret=%d",
		  __entry->id, __entry->flags, __entry->base, __entry->pass, __entry->next,
		  __entry->pages, __entry->pause_ns, __entry->ret)
);

TRACE_EVENT(cptdev_commit,
	TP_PROTO(const struct cptdev_replica *r, u64 staged, int ret),
	TP_ARGS(r, staged, ret),
	TP_STRUCT__entry(
		__string(name, r->name)
		__field(u64, term)
		__field(u64, generation)
		__field(u64, staged)
		__field(u64, pages)
		__field(u64, visited)
		__field(int, ret)
	),
	TP_fast_assign(
		cptdev_assign_str(name, r->name);
		__entry->term = r->term;
		__entry->generation = r->generation;
		__entry->staged = staged;
		__entry->pages = r->nr_pages;
		__entry->visited = r->visited;
		__entry->ret = ret;
	),
	TP_printk("replica=%s term=%llu generation=%llu staged=%llu pages=%llu visited=%llu ret=%d",
		  __get_str(name), __entry->term, __entry->generation, __entry->staged,
		  __entry->pages, __entry->visited, __entry->ret)
);

/* Pages were freed; by whom is what the trace says: the caller, or a worker. */
TRACE_EVENT(cptdev_free,
	TP_PROTO(const char *of, u64 pages),
	TP_ARGS(of, pages),
	TP_STRUCT__entry(
		__string(of, of)
		__field(u64, pages)
	),
	TP_fast_assign(
		cptdev_assign_str(of, of);
		__entry->pages = pages;
	),
	TP_printk("of=%s pages=%llu", __get_str(of), __entry->pages)
);

/* A published snapshot took a waiting one in. */
TRACE_EVENT(cptdev_merge,
	TP_PROTO(const struct cptdev_session *s, u64 pages),
	TP_ARGS(s, pages),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, pages)
	),
	TP_fast_assign(
		__entry->id = s->id;
		__entry->pages = pages;
	),
	TP_printk("session=%llu pages=%llu", __entry->id, __entry->pages)
);

#endif /* _CPTDEV_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
