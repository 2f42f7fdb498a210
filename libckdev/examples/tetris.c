// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdio.h>
#include <string.h>

#include "tetris.h"

#define SQUARES	4		/* of which each piece has as many */

/* In a box of @size by @size, which is what turns. */
static const struct shape {
	char name;
	int size;
	struct {
		int row, column;
	} square[SQUARES];
} shapes[TETRIS_PIECES] = {
	{ 'I', 4, { { 1, 0 }, { 1, 1 }, { 1, 2 }, { 1, 3 } } },
	{ 'J', 3, { { 0, 0 }, { 1, 0 }, { 1, 1 }, { 1, 2 } } },
	{ 'L', 3, { { 0, 2 }, { 1, 0 }, { 1, 1 }, { 1, 2 } } },
	{ 'O', 2, { { 0, 0 }, { 0, 1 }, { 1, 0 }, { 1, 1 } } },
	{ 'S', 3, { { 0, 1 }, { 0, 2 }, { 1, 0 }, { 1, 1 } } },
	{ 'T', 3, { { 0, 1 }, { 1, 0 }, { 1, 1 }, { 1, 2 } } },
	{ 'Z', 3, { { 0, 0 }, { 0, 1 }, { 1, 1 }, { 1, 2 } } },
};

/*
 * Chance
 */

/* splitmix64: any state is as good as any other. */
static uint64_t next_random(struct tetris *t)
{
	uint64_t x = t->random += 0x9e3779b97f4a7c15;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static unsigned int deal(struct tetris *t)
{
	unsigned int i, piece;

	if (!t->in_bag)
		for (; t->in_bag < TETRIS_PIECES; t->in_bag++)
			t->bag[t->in_bag] = (uint8_t)t->in_bag;
	i = next_random(t) % t->in_bag;
	piece = t->bag[i];
	t->bag[i] = t->bag[--t->in_bag];
	return piece;
}

/*
 * The piece that moves
 */

/* Where its square @i is. */
static void square_at(const struct tetris *t, int i, int *row, int *column)
{
	const struct shape *s = &shapes[t->piece];
	int r = s->square[i].row, c = s->square[i].column, old;
	unsigned int turn;

	for (turn = 0; turn < t->turn; turn++) {
		old = r;
		r = c;
		c = s->size - 1 - old;
	}
	*row = t->row + r;
	*column = t->column + c;
}

/* Above the well there is room. */
static bool fits(const struct tetris *t)
{
	int i, row, column;

	for (i = 0; i < SQUARES; i++) {
		square_at(t, i, &row, &column);
		if (column < 0 || column >= TETRIS_COLUMNS || row >= TETRIS_ROWS)
			return false;
		if (row >= 0 && t->cell[row][column])
			return false;
	}
	return true;
}

/* Returns false, and nothing has changed, if it doesn't fit there. */
static bool shift(struct tetris *t, int rows, int columns)
{
	t->row += rows;
	t->column += columns;
	if (fits(t))
		return true;
	t->row -= rows;
	t->column -= columns;
	return false;
}

/* Beside a wall, or another piece, it goes aside. */
static void turn_piece(struct tetris *t)
{
	const unsigned int before = t->turn;

	t->turn = (t->turn + 1) % 4;
	if (!fits(t) && !shift(t, 0, 1) && !shift(t, 0, -1) && !shift(t, 0, 2) &&
	    !shift(t, 0, -2))
		t->turn = before;
}

static void enter(struct tetris *t)
{
	const struct shape *s;

	t->piece = t->next;
	t->next = deal(t);
	s = &shapes[t->piece];
	t->turn = 0;
	t->row = -s->square[0].row;
	t->column = (TETRIS_COLUMNS - s->size) / 2;
	t->over = !fits(t);
}

/*
 * The well
 */

static bool full(const struct tetris *t, int row)
{
	return !memchr(t->cell[row], 0, TETRIS_COLUMNS);
}

static void remove_row(struct tetris *t, int row)
{
	memmove(t->cell[1], t->cell[0], (size_t)row * TETRIS_COLUMNS);
	memset(t->cell[0], 0, TETRIS_COLUMNS);
}

static void remove_full_rows(struct tetris *t)
{
	static const unsigned int worth[SQUARES + 1] = { 0, 100, 300, 500, 800 };
	unsigned int n = 0;
	int row;

	for (row = 0; row < TETRIS_ROWS; row++) {
		if (!full(t, row))
			continue;
		remove_row(t, row);
		n++;
	}
	t->score += worth[n] * tetris_level(t);
	t->lines += n;
}

/* What is above the well when it comes to rest is the end. */
static void land(struct tetris *t)
{
	int i, row, column;

	for (i = 0; i < SQUARES; i++) {
		square_at(t, i, &row, &column);
		if (row >= 0)
			t->cell[row][column] = shapes[t->piece].name;
		else
			t->over = true;
	}
	if (t->over)
		return;
	remove_full_rows(t);
	enter(t);
}

static void sink(struct tetris *t, unsigned int merit)
{
	if (shift(t, 1, 0))
		t->score += merit;
	else
		land(t);
}

static void drop(struct tetris *t)
{
	while (shift(t, 1, 0))
		t->score += 2;
	land(t);
}

/*
 * For the player
 */

static void begin(struct tetris *t)
{
	memset(t->cell, 0, sizeof(t->cell));
	t->in_bag = 0;
	t->score = 0;
	t->lines = 0;
	t->over = false;
	t->next = deal(t);
	enter(t);
}

void tetris_start(struct tetris *t, uint64_t game)
{
	memset(t, 0, sizeof(*t));
	t->random = game;
	begin(t);
}

/* Each move counts, also one that the walls don't allow. */
void tetris_move(struct tetris *t, enum tetris_move move)
{
	t->moves++;
	if (move == TETRIS_NEW && t->over)
		begin(t);
	else if (move == TETRIS_PAUSE && !t->over)
		t->paused = !t->paused;
	if (t->over || t->paused)
		return;
	switch (move) {
	case TETRIS_LEFT:
		shift(t, 0, -1);
		break;
	case TETRIS_RIGHT:
		shift(t, 0, 1);
		break;
	case TETRIS_TURN:
		turn_piece(t);
		break;
	case TETRIS_DOWN:
		sink(t, 1);
		break;
	case TETRIS_FALL:
		sink(t, 0);
		break;
	case TETRIS_DROP:
		drop(t);
		break;
	case TETRIS_PAUSE:
	case TETRIS_NEW:
		break;
	}
}

unsigned int tetris_level(const struct tetris *t)
{
	return 1 + (unsigned int)(t->lines / 10);
}

unsigned int tetris_pace(const struct tetris *t)
{
	unsigned int level = tetris_level(t);

	if (t->over || t->paused)
		return 0;
	return level < 11 ? 800 - 70 * (level - 1) : 100;
}

/*
 * The picture
 */

/* What is to be seen at a place of the well: a name, or 0. */
static char seen_at(const struct tetris *t, int row, int column)
{
	int i, r, c;

	for (i = 0; i < SQUARES; i++) {
		square_at(t, i, &r, &c);
		if (r == row && c == column)
			return shapes[t->piece].name;
	}
	return t->cell[row][column];
}

static void well_line(const struct tetris *t, int row, char *text)
{
	int column;
	char c;

	text[0] = '|';
	for (column = 0; column < TETRIS_COLUMNS; column++) {
		c = seen_at(t, row, column);
		text[1 + 2 * column] = c ?: ' ';
		text[2 + 2 * column] = c ?: '.';
	}
	text[TETRIS_WELL - 1] = '|';
}

/* The upper two rows of its box, in which it is. */
static void next_line(const struct tetris *t, int row, char *text)
{
	const struct shape *s = &shapes[t->next];
	int i;

	for (i = 0; i < SQUARES; i++)
		if (s->square[i].row == row)
			memset(text + 2 + 2 * s->square[i].column, s->name, 2);
}

static void side_line(const struct tetris *t, int line, char *text, size_t size)
{
	static const char * const keys[] = {
		"  a d    aside", "  w      turn", "  s      down", "  space  drop", "  p      pause",
		"  q      quit",
	};

	switch (line) {
	case 1:
		snprintf(text, size, "  score %8lu", t->score);
		break;
	case 2:
		snprintf(text, size, "  lines %8lu", t->lines);
		break;
	case 3:
		snprintf(text, size, "  level %8u", tetris_level(t));
		break;
	case 4:
		snprintf(text, size, "  moves %8lu", t->moves);
		break;
	case 6:
		snprintf(text, size, "  next");
		break;
	case 11:
		snprintf(text, size, "%s", t->over ? "  GAME OVER" :
			 t->paused ? "  PAUSE" : "");
		break;
	case 12:
		snprintf(text, size, "%s", t->over ? "  n: a new one" : "");
		break;
	case 15 ... 20:
		snprintf(text, size, "%s", keys[line - 15]);
		break;
	}
}

void tetris_line(const struct tetris *t, int line, char text[TETRIS_WIDTH + 1])
{
	char side[TETRIS_WIDTH - TETRIS_WELL + 1] = "";

	memset(text, ' ', TETRIS_WIDTH);
	text[TETRIS_WIDTH] = 0;
	if (line == 0 || line == TETRIS_HEIGHT - 1) {
		memset(text, '-', TETRIS_WELL);
		text[0] = '+';
		text[TETRIS_WELL - 1] = '+';
	} else {
		well_line(t, line - 1, text);
	}
	side_line(t, line, side, sizeof(side));
	memcpy(text + TETRIS_WELL, side, strlen(side));
	if (line == 8 || line == 9)
		next_line(t, line - 8, text + TETRIS_WELL);
}
