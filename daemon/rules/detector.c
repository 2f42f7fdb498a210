// SPDX-License-Identifier: GPL-2.0-or-later
/* The failure detector's arithmetic. */
#include "detector.h"
#include "fsm.h"

void detector_init(struct detector *d, u64 timeout)
{
	*d = (struct detector) { .state = DET_UNKNOWN, .timeout = timeout };
}

static unsigned int step(struct detector *d, unsigned int event, u64 now)
{
	unsigned int action = fsm_step(&fsm_detector, &d->state, event);

	if (action == DET_DO_START || action == DET_DO_BACK) {
		d->running = true;
		d->heard = now;
		d->ticked = now;
		d->answered = 0;
	} else if (action == DET_DO_STOP || action == DET_DO_DECIDE) {
		d->running = false;
	}
	return action;
}

unsigned int detector_up(struct detector *d, u64 now)
{
	return step(d, DET_UP, now);
}

unsigned int detector_broken(struct detector *d, u64 now)
{
	return step(d, DET_BROKEN, now);
}

unsigned int detector_bye(struct detector *d, u64 now)
{
	return step(d, DET_BYE, now);
}

void detector_heard(struct detector *d, u64 at)
{
	if (d->state == DET_ALIVE && at > d->heard)
		d->heard = at;
}

void detector_answered(struct detector *d, u64 at)
{
	d->answered = at;
	if (d->state == DET_NO_DAEMON)
		d->heard = at;
}

u64 detector_silence(const struct detector *d, u64 now)
{
	return now > d->heard ? now - d->heard : 0;
}

unsigned int detector_tick(struct detector *d, u64 now, u64 interval)
{
	u64 gap = now > d->ticked ? now - d->ticked : 0;

	d->ticked = now;
	if (!d->running)
		return FSM_NONE;
	/* So late that nobody can have listened here in between. */
	if (gap > 2 * interval && gap > d->timeout / 2) {
		d->heard += gap - interval;
		if (d->heard > now)
			d->heard = now;
		if (d->answered)
			d->answered = MIN(d->answered + gap - interval, now);
	}
	if (detector_silence(d, now) < d->timeout)
		return FSM_NONE;
	if (d->answered && now - d->answered < d->timeout) {
		d->heard = d->answered;
		return step(d, DET_ANSWERS, now);
	}
	return step(d, DET_TIMEOUT, now);
}

const char *detector_word(const struct detector *d, u64 now)
{
	switch ((enum det_state)d->state) {
	case DET_UNKNOWN:
		return "never heard";
	case DET_ALIVE:
		return detector_silence(d, now) * 2 > d->timeout ? "suspect" : "alive";
	case DET_LOST:
		return "lost";
	case DET_LEFT:
		return "left";
	case DET_DEAD:
		return "dead";
	case DET_NO_DAEMON:
		return "no daemon";
	}
	return "?";
}
