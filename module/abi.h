/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Layouts of all structs of the ABI: the size of each struct, and the offset and size of each
 * field. The compiler checks them in every build of the module. A new field is added at the end
 * of a struct that begins with its size, and gets a line here. Existing lines don't change
 * (Documentation/abi/released, selftests/host/abi).
 */
#ifndef _CPTDEV_ABI_H
#define _CPTDEV_ABI_H

#include <linux/cptdev.h>

#define ABI_STRUCT(_struct, _size)						\
	static_assert(sizeof(struct _struct) == (_size), "size of " #_struct)
#define ABI_FIELD(_struct, _field, _offset, _size)				\
	static_assert(offsetof(struct _struct, _field) == (_offset) &&		\
		      sizeof(((struct _struct *)0)->_field) == (_size),		\
		      "layout of " #_struct "." #_field)

ABI_STRUCT(cptdev_info, 280);
ABI_FIELD(cptdev_info, size, 0, 4);
ABI_FIELD(cptdev_info, flags, 4, 4);
ABI_FIELD(cptdev_info, abi_version, 8, 4);
ABI_FIELD(cptdev_info, page_size, 12, 4);
ABI_FIELD(cptdev_info, features, 16, 8);
ABI_FIELD(cptdev_info, range_flags, 24, 8);
ABI_FIELD(cptdev_info, scan_flags, 32, 8);
ABI_FIELD(cptdev_info, scan_categories, 40, 8);
ABI_FIELD(cptdev_info, snapshot_flags, 48, 8);
ABI_FIELD(cptdev_info, session_flags, 56, 8);
ABI_FIELD(cptdev_info, replica_flags, 64, 8);
ABI_FIELD(cptdev_info, held_max, 72, 8);
ABI_FIELD(cptdev_info, held, 80, 8);
ABI_FIELD(cptdev_info, replica_max, 88, 8);
ABI_FIELD(cptdev_info, replica, 96, 8);
ABI_FIELD(cptdev_info, sessions, 104, 8);
ABI_FIELD(cptdev_info, replicas, 112, 8);
ABI_FIELD(cptdev_info, session_id, 120, 8);
ABI_FIELD(cptdev_info, session_uuid, 128, 16);
ABI_FIELD(cptdev_info, session_term, 144, 8);
ABI_FIELD(cptdev_info, session_held_max, 152, 8);
ABI_FIELD(cptdev_info, session_held, 160, 8);
ABI_FIELD(cptdev_info, session_ranges, 168, 8);
ABI_FIELD(cptdev_info, session_bytes, 176, 8);
ABI_FIELD(cptdev_info, session_overhead, 184, 8);
ABI_FIELD(cptdev_info, generation, 192, 8);
ABI_FIELD(cptdev_info, published, 200, 8);
ABI_FIELD(cptdev_info, committed, 208, 8);
ABI_FIELD(cptdev_info, attached, 216, 8);
ABI_FIELD(cptdev_info, scans, 224, 8);
ABI_FIELD(cptdev_info, snapshots, 232, 8);
ABI_FIELD(cptdev_info, user_held_max, 240, 8);
ABI_FIELD(cptdev_info, user_held, 248, 8);
ABI_FIELD(cptdev_info, group_left, 256, 8);
ABI_FIELD(cptdev_info, huge_kept, 264, 8);
ABI_FIELD(cptdev_info, huge_split, 272, 8);

ABI_STRUCT(cptdev_session_setup, 88);
ABI_FIELD(cptdev_session_setup, size, 0, 4);
ABI_FIELD(cptdev_session_setup, flags, 4, 4);
ABI_FIELD(cptdev_session_setup, name, 8, 64);
ABI_FIELD(cptdev_session_setup, term, 72, 8);
ABI_FIELD(cptdev_session_setup, held_max, 80, 8);

ABI_STRUCT(cptdev_range, 40);
ABI_FIELD(cptdev_range, size, 0, 4);
ABI_FIELD(cptdev_range, flags, 4, 4);
ABI_FIELD(cptdev_range, addr, 8, 8);
ABI_FIELD(cptdev_range, len, 16, 8);
ABI_FIELD(cptdev_range, bad_addr, 24, 8);
ABI_FIELD(cptdev_range, reason, 32, 4);
ABI_FIELD(cptdev_range, reserved, 36, 4);

ABI_STRUCT(cptdev_range_entry, 16);
ABI_FIELD(cptdev_range_entry, addr, 0, 8);
ABI_FIELD(cptdev_range_entry, len, 8, 8);

ABI_STRUCT(cptdev_range_list, 40);
ABI_FIELD(cptdev_range_list, size, 0, 4);
ABI_FIELD(cptdev_range_list, flags, 4, 4);
ABI_FIELD(cptdev_range_list, vec, 8, 8);
ABI_FIELD(cptdev_range_list, vec_len, 16, 4);
ABI_FIELD(cptdev_range_list, nr, 20, 4);
ABI_FIELD(cptdev_range_list, start, 24, 8);
ABI_FIELD(cptdev_range_list, total, 32, 8);

ABI_STRUCT(cptdev_region, 24);
ABI_FIELD(cptdev_region, start, 0, 8);
ABI_FIELD(cptdev_region, end, 8, 8);
ABI_FIELD(cptdev_region, categories, 16, 8);

ABI_STRUCT(cptdev_scan, 80);
ABI_FIELD(cptdev_scan, size, 0, 4);
ABI_FIELD(cptdev_scan, flags, 4, 4);
ABI_FIELD(cptdev_scan, start, 8, 8);
ABI_FIELD(cptdev_scan, end, 16, 8);
ABI_FIELD(cptdev_scan, vec, 24, 8);
ABI_FIELD(cptdev_scan, vec_len, 32, 4);
ABI_FIELD(cptdev_scan, nr, 36, 4);
ABI_FIELD(cptdev_scan, anyof, 40, 8);
ABI_FIELD(cptdev_scan, report, 48, 8);
ABI_FIELD(cptdev_scan, walk_end, 56, 8);
ABI_FIELD(cptdev_scan, dirty, 64, 8);
ABI_FIELD(cptdev_scan, pages, 72, 8);

ABI_STRUCT(cptdev_snapshot, 112);
ABI_FIELD(cptdev_snapshot, size, 0, 4);
ABI_FIELD(cptdev_snapshot, flags, 4, 4);
ABI_FIELD(cptdev_snapshot, since, 8, 8);
ABI_FIELD(cptdev_snapshot, meta, 16, 8);
ABI_FIELD(cptdev_snapshot, meta_len, 24, 4);
ABI_FIELD(cptdev_snapshot, fd, 28, 4);
ABI_FIELD(cptdev_snapshot, timeout_ns, 32, 8);
ABI_FIELD(cptdev_snapshot, generation, 40, 8);
ABI_FIELD(cptdev_snapshot, base, 48, 8);
ABI_FIELD(cptdev_snapshot, pages, 56, 8);
ABI_FIELD(cptdev_snapshot, holes, 64, 8);
ABI_FIELD(cptdev_snapshot, copied, 72, 8);
ABI_FIELD(cptdev_snapshot, visited, 80, 8);
ABI_FIELD(cptdev_snapshot, pause_ns, 88, 8);
ABI_FIELD(cptdev_snapshot, bad_addr, 96, 8);
ABI_FIELD(cptdev_snapshot, reason, 104, 4);
ABI_FIELD(cptdev_snapshot, reserved, 108, 4);

ABI_STRUCT(cptdev_wait, 40);
ABI_FIELD(cptdev_wait, size, 0, 4);
ABI_FIELD(cptdev_wait, flags, 4, 4);
ABI_FIELD(cptdev_wait, generation, 8, 8);
ABI_FIELD(cptdev_wait, timeout_ns, 16, 8);
ABI_FIELD(cptdev_wait, committed, 24, 8);
ABI_FIELD(cptdev_wait, state, 32, 4);
ABI_FIELD(cptdev_wait, reserved, 36, 4);

ABI_STRUCT(cptdev_session_page, 24);
ABI_FIELD(cptdev_session_page, size, 0, 4);
ABI_FIELD(cptdev_session_page, flags, 4, 4);
ABI_FIELD(cptdev_session_page, lease_until_ns, 8, 8);
ABI_FIELD(cptdev_session_page, committed, 16, 8);

ABI_STRUCT(cptdev_session_alive, 16);
ABI_FIELD(cptdev_session_alive, size, 0, 4);
ABI_FIELD(cptdev_session_alive, flags, 4, 4);
ABI_FIELD(cptdev_session_alive, timeout_ns, 8, 8);

ABI_STRUCT(cptdev_delta, 56);
ABI_FIELD(cptdev_delta, size, 0, 4);
ABI_FIELD(cptdev_delta, flags, 4, 4);
ABI_FIELD(cptdev_delta, session_id, 8, 8);
ABI_FIELD(cptdev_delta, since, 16, 8);
ABI_FIELD(cptdev_delta, fd, 24, 4);
ABI_FIELD(cptdev_delta, reserved, 28, 4);
ABI_FIELD(cptdev_delta, generation, 32, 8);
ABI_FIELD(cptdev_delta, base, 40, 8);
ABI_FIELD(cptdev_delta, pages, 48, 8);

ABI_STRUCT(cptdev_round, 64);
ABI_FIELD(cptdev_round, size, 0, 4);
ABI_FIELD(cptdev_round, flags, 4, 4);
ABI_FIELD(cptdev_round, session_id, 8, 8);
ABI_FIELD(cptdev_round, base, 16, 8);
ABI_FIELD(cptdev_round, pass, 24, 8);
ABI_FIELD(cptdev_round, addr, 32, 8);
ABI_FIELD(cptdev_round, pages, 40, 8);
ABI_FIELD(cptdev_round, pause_ns, 48, 8);
ABI_FIELD(cptdev_round, fd, 56, 4);
ABI_FIELD(cptdev_round, reserved, 60, 4);

ABI_STRUCT(cptdev_ack, 32);
ABI_FIELD(cptdev_ack, size, 0, 4);
ABI_FIELD(cptdev_ack, flags, 4, 4);
ABI_FIELD(cptdev_ack, session_id, 8, 8);
ABI_FIELD(cptdev_ack, generation, 16, 8);
ABI_FIELD(cptdev_ack, lease_until_ns, 24, 8);

ABI_STRUCT(cptdev_keep, 24);
ABI_FIELD(cptdev_keep, size, 0, 4);
ABI_FIELD(cptdev_keep, flags, 4, 4);
ABI_FIELD(cptdev_keep, session_id, 8, 8);
ABI_FIELD(cptdev_keep, max_bytes, 16, 8);

ABI_STRUCT(cptdev_replica_open, 88);
ABI_FIELD(cptdev_replica_open, size, 0, 4);
ABI_FIELD(cptdev_replica_open, flags, 4, 4);
ABI_FIELD(cptdev_replica_open, name, 8, 64);
ABI_FIELD(cptdev_replica_open, max_bytes, 72, 8);
ABI_FIELD(cptdev_replica_open, fd, 80, 4);
ABI_FIELD(cptdev_replica_open, reserved, 84, 4);

ABI_STRUCT(cptdev_image_info, 208);
ABI_FIELD(cptdev_image_info, size, 0, 4);
ABI_FIELD(cptdev_image_info, flags, 4, 4);
ABI_FIELD(cptdev_image_info, kind, 8, 4);
ABI_FIELD(cptdev_image_info, state, 12, 4);
ABI_FIELD(cptdev_image_info, name, 16, 64);
ABI_FIELD(cptdev_image_info, uuid, 80, 16);
ABI_FIELD(cptdev_image_info, term, 96, 8);
ABI_FIELD(cptdev_image_info, generation, 104, 8);
ABI_FIELD(cptdev_image_info, base, 112, 8);
ABI_FIELD(cptdev_image_info, pages, 120, 8);
ABI_FIELD(cptdev_image_info, holes, 128, 8);
ABI_FIELD(cptdev_image_info, segments, 136, 8);
ABI_FIELD(cptdev_image_info, extents, 144, 8);
ABI_FIELD(cptdev_image_info, meta_len, 152, 4);
ABI_FIELD(cptdev_image_info, uid, 156, 4);
ABI_FIELD(cptdev_image_info, staged, 160, 8);
ABI_FIELD(cptdev_image_info, staging, 168, 8);
ABI_FIELD(cptdev_image_info, max_bytes, 176, 8);
ABI_FIELD(cptdev_image_info, promoted_ns, 184, 8);
ABI_FIELD(cptdev_image_info, taken_ns, 192, 8);
ABI_FIELD(cptdev_image_info, commits, 200, 8);

ABI_STRUCT(cptdev_segment, 32);
ABI_FIELD(cptdev_segment, addr, 0, 8);
ABI_FIELD(cptdev_segment, len, 8, 8);
ABI_FIELD(cptdev_segment, offset, 16, 8);
ABI_FIELD(cptdev_segment, kind, 24, 4);
ABI_FIELD(cptdev_segment, prot, 28, 4);

ABI_STRUCT(cptdev_extent, 24);
ABI_FIELD(cptdev_extent, addr, 0, 8);
ABI_FIELD(cptdev_extent, len, 8, 8);
ABI_FIELD(cptdev_extent, kind, 16, 4);
ABI_FIELD(cptdev_extent, reserved, 20, 4);

ABI_STRUCT(cptdev_image_vec, 48);
ABI_FIELD(cptdev_image_vec, size, 0, 4);
ABI_FIELD(cptdev_image_vec, flags, 4, 4);
ABI_FIELD(cptdev_image_vec, vec, 8, 8);
ABI_FIELD(cptdev_image_vec, vec_len, 16, 4);
ABI_FIELD(cptdev_image_vec, nr, 20, 4);
ABI_FIELD(cptdev_image_vec, start, 24, 8);
ABI_FIELD(cptdev_image_vec, next, 32, 8);
ABI_FIELD(cptdev_image_vec, since, 40, 8);

ABI_STRUCT(cptdev_replica_begin, 72);
ABI_FIELD(cptdev_replica_begin, size, 0, 4);
ABI_FIELD(cptdev_replica_begin, flags, 4, 4);
ABI_FIELD(cptdev_replica_begin, uuid, 8, 16);
ABI_FIELD(cptdev_replica_begin, term, 24, 8);
ABI_FIELD(cptdev_replica_begin, base, 32, 8);
ABI_FIELD(cptdev_replica_begin, generation, 40, 8);
ABI_FIELD(cptdev_replica_begin, layout, 48, 8);
ABI_FIELD(cptdev_replica_begin, layout_len, 56, 4);
ABI_FIELD(cptdev_replica_begin, meta_len, 60, 4);
ABI_FIELD(cptdev_replica_begin, meta, 64, 8);

ABI_STRUCT(cptdev_replica_stage, 40);
ABI_FIELD(cptdev_replica_stage, size, 0, 4);
ABI_FIELD(cptdev_replica_stage, flags, 4, 4);
ABI_FIELD(cptdev_replica_stage, vec, 8, 8);
ABI_FIELD(cptdev_replica_stage, data, 16, 8);
ABI_FIELD(cptdev_replica_stage, data_len, 24, 8);
ABI_FIELD(cptdev_replica_stage, vec_len, 32, 4);
ABI_FIELD(cptdev_replica_stage, reserved, 36, 4);

ABI_STRUCT(cptdev_replica_commit, 24);
ABI_FIELD(cptdev_replica_commit, size, 0, 4);
ABI_FIELD(cptdev_replica_commit, flags, 4, 4);
ABI_FIELD(cptdev_replica_commit, generation, 8, 8);
ABI_FIELD(cptdev_replica_commit, pages, 16, 8);

ABI_STRUCT(cptdev_replica_freeze, 16);
ABI_FIELD(cptdev_replica_freeze, size, 0, 4);
ABI_FIELD(cptdev_replica_freeze, flags, 4, 4);
ABI_FIELD(cptdev_replica_freeze, generation, 8, 8);

ABI_STRUCT(cptdev_replica_promote, 24);
ABI_FIELD(cptdev_replica_promote, size, 0, 4);
ABI_FIELD(cptdev_replica_promote, flags, 4, 4);
ABI_FIELD(cptdev_replica_promote, term, 8, 8);
ABI_FIELD(cptdev_replica_promote, generation, 16, 8);

ABI_STRUCT(cptdev_replica_remove, 8);
ABI_FIELD(cptdev_replica_remove, size, 0, 4);
ABI_FIELD(cptdev_replica_remove, flags, 4, 4);

ABI_STRUCT(cptdev_replica_claim, 32);
ABI_FIELD(cptdev_replica_claim, size, 0, 4);
ABI_FIELD(cptdev_replica_claim, flags, 4, 4);
ABI_FIELD(cptdev_replica_claim, term, 8, 8);
ABI_FIELD(cptdev_replica_claim, generation, 16, 8);
ABI_FIELD(cptdev_replica_claim, promoted_ns, 24, 8);

ABI_STRUCT(cptdev_replica_copied, 24);
ABI_FIELD(cptdev_replica_copied, size, 0, 4);
ABI_FIELD(cptdev_replica_copied, flags, 4, 4);
ABI_FIELD(cptdev_replica_copied, commits, 8, 8);
ABI_FIELD(cptdev_replica_copied, behind, 16, 8);

ABI_STRUCT(cptdev_past, 32);
ABI_FIELD(cptdev_past, generation, 0, 8);
ABI_FIELD(cptdev_past, term, 8, 8);
ABI_FIELD(cptdev_past, committed_ns, 16, 8);
ABI_FIELD(cptdev_past, pages, 24, 8);

ABI_STRUCT(cptdev_replica_history, 48);
ABI_FIELD(cptdev_replica_history, size, 0, 4);
ABI_FIELD(cptdev_replica_history, flags, 4, 4);
ABI_FIELD(cptdev_replica_history, vec, 8, 8);
ABI_FIELD(cptdev_replica_history, vec_len, 16, 4);
ABI_FIELD(cptdev_replica_history, nr, 20, 4);
ABI_FIELD(cptdev_replica_history, keep, 24, 4);
ABI_FIELD(cptdev_replica_history, reserved, 28, 4);
ABI_FIELD(cptdev_replica_history, max_bytes, 32, 8);
ABI_FIELD(cptdev_replica_history, bytes, 40, 8);

ABI_STRUCT(cptdev_replica_at, 16);
ABI_FIELD(cptdev_replica_at, size, 0, 4);
ABI_FIELD(cptdev_replica_at, flags, 4, 4);
ABI_FIELD(cptdev_replica_at, generation, 8, 8);

#endif /* _CPTDEV_ABI_H */
