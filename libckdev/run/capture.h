/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cptdev-run: the cut: everything of a program at one instant. */
#ifndef RUN_CAPTURE_H
#define RUN_CAPTURE_H

#include "fds.h"
#include "mirror.h"
#include "state.h"
#include "tree.h"

/* Parts of a pause, in their order. */
enum run_part {
	RUN_PART_STOP,			/* until all threads have stopped */
	RUN_PART_FDS,			/* signals of timers, the mark of held output, descriptors */
	RUN_PART_LOOK,			/* attributes, mappings, registers */
	RUN_PART_ASK,			/* what only the program itself can ask */
	RUN_PART_MEMORY,
	RUN_PARTS
};

/**
 * struct run_cut - arguments and results of run_cut()
 * @like:	see run_process_read()
 * @std:	see struct run_std
 * @mirror:	takes the memory of the first process, NULL: it is only looked at what would be refused
 * @session:	-1: none. Else TCP connections are covered, and their output is marked there
 * @patient:	fail with EBUSY if connections wait that the program hasn't accepted, or the signal of a
 *		timer with an interval
 * @state:	out: everything else; to be freed by run_state_free()
 * @report:	in and out: what is covered and what is refused
 * @touched:	out: the mirror may have changes, also if the cut has failed
 * @held:	out: output of the session is held until the checkpoint is on the spare
 * @began_ns:	out: when it began to stop the program, CLOCK_MONOTONIC
 * @pause_ns:	out: how long the program was stopped
 * @part_ns:	out: the parts of that
 */
struct run_cut {
	pid_t like;
	const struct run_std *std;
	struct run_mirror *mirror;
	int session;
	bool patient, touched, held;
	struct run_state state;
	struct run_report report;
	uint64_t began_ns, pause_ns, part_ns[RUN_PARTS];
};

/*
 * Stop the program, look at it, let it go on. Returns 0, or -1 with errno and @e: those of
 * run_tree_stop(); EOPNOTSUPP: something was refused, see @report; EBUSY: see @patient; EUCLEAN: the program is in
 * disorder and has to be killed; others: the checkpoint failed, and the program goes on.
 */
int run_cut(struct run_tree *tree, struct run_cut *cut, struct hs_error *e);

#endif /* RUN_CAPTURE_H */
