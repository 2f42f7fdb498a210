/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A game of falling blocks: its rules, and what it looks like as text. No terminal, no
 * time, no chance: the same game with the same moves is the same anywhere.
 */
#ifndef TETRIS_H
#define TETRIS_H

#include <stdbool.h>
#include <stdint.h>

#define TETRIS_ROWS	20
#define TETRIS_COLUMNS	10
#define TETRIS_PIECES	7

/* The picture: the well with its walls, and beside it numbers and what comes next. */
#define TETRIS_HEIGHT	(TETRIS_ROWS + 2)
#define TETRIS_WELL	(2 * TETRIS_COLUMNS + 2)
#define TETRIS_WIDTH	(TETRIS_WELL + 16)

enum tetris_move {
	TETRIS_LEFT,
	TETRIS_RIGHT,
	TETRIS_TURN,
	TETRIS_DOWN,
	TETRIS_DROP,
	TETRIS_FALL,		/* as DOWN, but the player has no merit */
	TETRIS_PAUSE,		/* and on again */
	TETRIS_NEW,		/* when it is over */
};

struct tetris {
	char cell[TETRIS_ROWS][TETRIS_COLUMNS];	/* 0, or the piece that it was part of */
	uint64_t random;
	/* Of each kind one is dealt before the next of any. */
	uint8_t bag[TETRIS_PIECES];
	unsigned int in_bag;
	unsigned int piece, next;
	unsigned int turn;			/* quarters, clockwise */
	int row, column;			/* of the piece's box */
	unsigned long score, lines, moves;
	bool over, paused;
};

void tetris_start(struct tetris *t, uint64_t game);
void tetris_move(struct tetris *t, enum tetris_move move);
unsigned int tetris_level(const struct tetris *t);
/* Milliseconds between two falls; 0: it doesn't fall now. */
unsigned int tetris_pace(const struct tetris *t);
/* One of TETRIS_HEIGHT lines: always TETRIS_WIDTH characters, and a zero. */
void tetris_line(const struct tetris *t, int line, char text[TETRIS_WIDTH + 1]);

#endif /* TETRIS_H */
