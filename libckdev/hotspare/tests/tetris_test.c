// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The game of the examples: its rules; and it as a program, in terminals of our own, whose
 * screens must be, place by place, what the rules make of the keys: before the master is
 * killed, and after that on the spare.
 */
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../examples/tetris.h"
#include "child.h"

#define PATIENCE_S	60

static char program[4096];

/*
 * The rules
 */

static const char keys[] = "adws pn";

static void press(struct tetris *t, char key)
{
	static const enum tetris_move moves[] = {
		TETRIS_LEFT, TETRIS_RIGHT, TETRIS_TURN, TETRIS_DOWN, TETRIS_DROP, TETRIS_PAUSE,
		TETRIS_NEW,
	};

	tetris_move(t, moves[strchr(keys, key) - keys]);
}

static void assert_picture(const struct tetris *t, const char * const picture[TETRIS_HEIGHT])
{
	char line[TETRIS_WIDTH + 1];
	int i;

	for (i = 0; i < TETRIS_HEIGHT; i++) {
		tetris_line(t, i, line);
		assert_string_equal(line, picture[i]);
	}
}

/* Drawn by hand, but for what pieces come. */
static void a_game_looks_like_this(void **state)
{
	static const char * const picture[TETRIS_HEIGHT] = {
		"+--------------------+                ",
		"| . . . .SSSS . . . .|  score      134",
		"| . . .SSSS . . . . .|  lines        0",
		"| . . . . . . . . . .|  level        1",
		"| . . . . . . . . . .|  moves       17",
		"| . . . . . . . . . .|                ",
		"| . . . . . . . . . .|  next          ",
		"| . . . . . . . . . .|                ",
		"| . . . . . . . . . .|  ZZZZ          ",
		"| . . . . . . . . . .|    ZZZZ        ",
		"| . . . . . . . . . .|                ",
		"| . . . . . . . . . .|                ",
		"| . . . . . . . . . .|                ",
		"| . . . . . . . . . .|                ",
		"| . . . . . . . . . .|                ",
		"| . . . . . . . . . .|  a d    aside  ",
		"| . . . . . . . . . .|  w      turn   ",
		"| . . .IIIIIIII . . .|  s      down   ",
		"| . . . .LL . .JJJJ .|  space  drop   ",
		"| .OOOO .LL . .JJ . .|  p      pause  ",
		"| .OOOO .LLLL .JJ . .|  q      quit   ",
		"+--------------------+                ",
	};
	const char *k = "wda ss wddd aaaw ";
	struct tetris t;

	(void)state;
	tetris_start(&t, 7);
	for (; *k; k++)
		press(&t, *k);
	assert_picture(&t, picture);
}

static void another_game_has_other_pieces(void **state)
{
	unsigned int i, differ = 0;
	struct tetris a, b;

	(void)state;
	tetris_start(&a, 1);
	tetris_start(&b, 2);
	for (i = 0; i < 7; i++) {
		differ += a.piece != b.piece;
		tetris_move(&a, TETRIS_DROP);
		tetris_move(&b, TETRIS_DROP);
	}
	assert_true(differ);
}

static void each_piece_comes_once_in_seven(void **state)
{
	unsigned int i, j, seen;
	struct tetris t;

	(void)state;
	tetris_start(&t, 3);
	for (i = 0; i < 100; i++) {
		for (j = seen = 0; j < TETRIS_PIECES; j++) {
			seen |= 1U << t.piece;
			memset(t.cell, 0, sizeof(t.cell));
			tetris_move(&t, TETRIS_DROP);
		}
		assert_int_equal(seen, (1 << TETRIS_PIECES) - 1);
	}
}

/* Into a well that has all but one column of the lowest @rows, and something above them. */
static void drop_into_gap(struct tetris *t, int rows)
{
	int row;

	tetris_start(t, 0);
	for (row = TETRIS_ROWS - rows; row < TETRIS_ROWS; row++)
		memset(t->cell[row] + 1, 'X', TETRIS_COLUMNS - 1);
	t->cell[TETRIS_ROWS - rows - 1][9] = 'Y';
	t->piece = 0;				/* I */
	t->row = 0;
	tetris_move(t, TETRIS_TURN);
	for (row = 0; row < TETRIS_COLUMNS; row++)
		tetris_move(t, TETRIS_LEFT);
	tetris_move(t, TETRIS_DROP);
}

static void full_rows_go(void **state)
{
	static const unsigned long worth[] = { 0, 100, 300, 500, 800 };
	struct tetris t;
	int rows, row;

	(void)state;
	for (rows = 1; rows <= 4; rows++) {
		drop_into_gap(&t, rows);
		assert_int_equal(t.lines, rows);
		/* It stood upright, and had these rows to fall, two points each. */
		assert_int_equal(t.score, worth[rows] + 2 * (TETRIS_ROWS - 4));
		assert_int_equal(t.cell[TETRIS_ROWS - 1][9], 'Y');
		for (row = 0; row < TETRIS_ROWS; row++)
			assert_int_equal(t.cell[row][0], row >= TETRIS_ROWS - 4 + rows ? 'I' : 0);
	}
}

static void four_turns_are_none(void **state)
{
	struct tetris t, before;
	int i;

	(void)state;
	tetris_start(&t, 0);
	for (t.piece = 0; t.piece < TETRIS_PIECES; t.piece++) {
		t.row = 5;
		before = t;
		for (i = 0; i < 4; i++)
			tetris_move(&t, TETRIS_TURN);
		before.moves += 4;
		assert_memory_equal(&t, &before, sizeof(t));
	}
}

static void a_wall_pushes_what_turns(void **state)
{
	struct tetris t;
	int i;

	(void)state;
	tetris_start(&t, 0);
	t.piece = 0;
	tetris_move(&t, TETRIS_TURN);
	for (i = 0; i < TETRIS_COLUMNS; i++)
		tetris_move(&t, TETRIS_LEFT);
	assert_int_equal(t.column, -2);
	tetris_move(&t, TETRIS_TURN);
	assert_int_equal(t.column, 0);
	assert_int_equal(t.turn, 2);
}

static void it_is_over_when_the_well_is_full(void **state)
{
	struct tetris t, before;
	int i;

	(void)state;
	tetris_start(&t, 5);
	for (i = 0; i < 100 && !t.over; i++)
		tetris_move(&t, TETRIS_DROP);
	assert_true(t.over);
	assert_int_equal(tetris_pace(&t), 0);
	before = t;
	for (i = 0; i <= TETRIS_PAUSE; i++)
		tetris_move(&t, (enum tetris_move)i);
	before.moves += TETRIS_PAUSE + 1;
	assert_memory_equal(&t, &before, sizeof(t));
	tetris_move(&t, TETRIS_NEW);
	assert_false(t.over);
	assert_int_equal(t.score, 0);
	tetris_move(&t, TETRIS_DROP);
	assert_true(t.score > 0);
}

static void a_pause_holds_all(void **state)
{
	struct tetris t, before;
	int i;

	(void)state;
	tetris_start(&t, 5);
	before = t;
	tetris_move(&t, TETRIS_PAUSE);
	assert_int_equal(tetris_pace(&t), 0);
	for (i = 0; i <= TETRIS_FALL; i++)
		tetris_move(&t, (enum tetris_move)i);
	tetris_move(&t, TETRIS_PAUSE);
	before.moves = t.moves;
	assert_memory_equal(&t, &before, sizeof(t));
	assert_int_equal(tetris_pace(&t), 800);
}

static unsigned int squares_in(const struct tetris *t)
{
	const char *c = t->cell[0];
	unsigned int n = 0, i;

	for (i = 0; i < sizeof(t->cell); i++)
		n += !!c[i];
	return n;
}

/* Four squares for each piece that has landed, less those of full rows. */
static void squares_are_neither_lost_nor_made(void **state)
{
	unsigned int i, want = 0, pieces = 0;
	unsigned long lines, moves = 0;
	struct tetris t;
	uint64_t random;

	(void)state;
	tetris_start(&t, 11);
	for (i = 0; i < 200000; i++) {
		random = t.random;
		lines = t.lines;
		tetris_move(&t, (enum tetris_move)(rand() % (TETRIS_FALL + 1)));
		assert_int_equal(t.moves, ++moves);
		/* One was dealt: one has landed. */
		if (t.random != random) {
			want += 4 - 10 * (unsigned int)(t.lines - lines);
			pieces++;
			assert_int_equal(squares_in(&t), want);
		}
		if (t.over) {
			tetris_move(&t, TETRIS_NEW);
			moves++;
			want = 0;
		}
	}
	assert_true(pieces > 1000);
}

/*
 * A terminal: a VT52, which has few commands, with a program
 */

#define HEIGHT	24
#define WIDTH	80

struct terminal {
	pid_t pid;
	int fd;
	char seen[HEIGHT][WIDTH + 1];
	int y, x;
	char escape[4];			/* that hasn't come to its end */
	unsigned int escape_len;
};

static void put(struct terminal *t, char c)
{
	t->seen[t->y][t->x] = c;
	if (t->x < WIDTH - 1)
		t->x++;
}

static void clear_from(struct terminal *t, int y, int x)
{
	memset(t->seen[y] + x, ' ', (size_t)(WIDTH - x));
}

static void index_down(struct terminal *t)
{
	if (t->y < HEIGHT - 1) {
		t->y++;
		return;
	}
	memmove(t->seen[0], t->seen[1], sizeof(t->seen[0]) * (HEIGHT - 1));
	clear_from(t, HEIGHT - 1, 0);
}

static void control(struct terminal *t, char c)
{
	if (c == '\r')
		t->x = 0;
	else if (c == '\n')
		index_down(t);
	else if (c == '\b' && t->x)
		t->x--;
	else if (c == '\t')
		t->x = t->x < WIDTH - 8 ? (t->x | 7) + 1 : WIDTH - 1;
}

/* Returns false if more is to come. */
static bool command(struct terminal *t, const char *e, unsigned int len)
{
	int y;

	switch (e[0]) {
	case 'A':
		t->y -= t->y > 0;
		break;
	case 'B':
		t->y += t->y < HEIGHT - 1;
		break;
	case 'C':
		t->x += t->x < WIDTH - 1;
		break;
	case 'D':
		t->x -= t->x > 0;
		break;
	case 'H':
		t->y = t->x = 0;
		break;
	case 'J':
		for (y = t->y + 1; y < HEIGHT; y++)
			clear_from(t, y, 0);
		clear_from(t, t->y, t->x);
		break;
	case 'K':
		clear_from(t, t->y, t->x);
		break;
	case 'Y':
		if (len < 3)
			return false;
		assert_in_range(e[1] - 32, 0, HEIGHT - 1);
		assert_in_range(e[2] - 32, 0, WIDTH - 1);
		t->y = e[1] - 32;
		t->x = e[2] - 32;
		break;
	case '=':				/* of its keys */
	case '>':
	case 'F':				/* of letters that aren't used */
	case 'G':
		break;
	default:
		fail_msg("the terminal doesn't know ESC %c", e[0]);
	}
	return true;
}

static void feed(struct terminal *t, const char *p, ssize_t n)
{
	for (; n > 0; n--, p++) {
		if (t->escape_len) {
			t->escape[t->escape_len++] = *p;
			if (command(t, t->escape + 1, t->escape_len - 1))
				t->escape_len = 0;
		} else if (*p == 033) {
			t->escape[t->escape_len++] = *p;
		} else if (*p >= ' ') {
			put(t, *p);
		} else {
			control(t, *p);
		}
	}
}

/* What has come until now. Returns false when the program is gone. */
static bool look(struct terminal *t, int ms)
{
	struct pollfd p = { .fd = t->fd, .events = POLLIN };
	char text[4096];
	ssize_t n;

	while (poll(&p, 1, ms) > 0) {
		n = read(t->fd, text, sizeof(text));
		if (n <= 0)
			return false;
		feed(t, text, n);
		ms = 0;
	}
	return true;
}

/*
 * The programs that run; a test that fails leaves some.
 */

static pid_t running[4];

static void has_ended(pid_t pid)
{
	size_t i;

	for (i = 0; i < sizeof(running) / sizeof(running[0]); i++)
		if (running[i] == pid)
			running[i] = 0;
}

static void has_begun(pid_t pid)
{
	size_t i;

	for (i = 0; running[i]; i++)
		assert_true(i + 1 < sizeof(running) / sizeof(running[0]));
	running[i] = pid;
}

static int end_all(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(running) / sizeof(running[0]); i++) {
		if (!running[i])
			continue;
		kill(running[i], SIGKILL);
		waitpid(running[i], NULL, 0);
		running[i] = 0;
	}
	return 0;
}

/* Until that is to be seen in a line. */
static void wait_for(struct terminal *t, int line, const char *what)
{
	time_t end = time(NULL) + PATIENCE_S;
	int i;

	while (!strstr(t->seen[line], what)) {
		if (look(t, 100) && time(NULL) < end)
			continue;
		for (i = 0; i < HEIGHT; i++)
			print_message("# %s\n", t->seen[i]);
		fail_msg("line %d isn't '%s'", line, what);
	}
}

static void type(const struct terminal *t, const char *what)
{
	assert_int_equal(write(t->fd, what, strlen(what)), (ssize_t)strlen(what));
}

static void launch(struct terminal *t, const char *role, const char *game, const char *weight)
{
	const struct winsize size = { .ws_row = HEIGHT, .ws_col = WIDTH };
	char port[8];
	int i;

	snprintf(port, sizeof(port), "%d", own_port());
	memset(t, 0, sizeof(*t));
	for (i = 0; i < HEIGHT; i++)
		clear_from(t, i, 0);
	fflush(NULL);
	t->pid = forkpty(&t->fd, NULL, NULL, &size);
	assert_true(t->pid >= 0);
	if (t->pid) {
		fcntl(t->fd, F_SETFD, FD_CLOEXEC);
		has_begun(t->pid);
		return;
	}
	end_with_parent();
	setenv("TERM", "vt52", 1);
	unsetenv("LINES");
	unsetenv("COLUMNS");
	execl(program, program, role, "-a", "127.0.0.1", "-p", port, "-t", "60", "--",
	      game ? "-g" : NULL, game, weight, NULL);
	_exit(127);
}

/* Its last words are read. */
static void kill_off(struct terminal *t)
{
	int status;

	kill(t->pid, SIGKILL);
	assert_int_equal(waitpid(t->pid, &status, 0), t->pid);
	has_ended(t->pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	while (look(t, 100))
		;
	close(t->fd);
}

static void end_well(struct terminal *t)
{
	int status;

	while (look(t, 100))
		;
	assert_int_equal(waitpid(t->pid, &status, 0), t->pid);
	has_ended(t->pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(t->fd);
}

/*
 * Take-overs
 */

#define SAFE	"safe: the spare has move "

/* Of the last line; -1: it doesn't say so. */
static long safe_move(const struct terminal *t)
{
	const char *last = t->seen[HEIGHT - 1];

	return strncmp(last, SAFE, strlen(SAFE)) ? -1 : atol(last + strlen(SAFE));
}

/* This one, or a later one. */
static void wait_until_safe(struct terminal *t, unsigned long move)
{
	time_t end = time(NULL) + PATIENCE_S;

	while (safe_move(t) < (long)move)
		if (!look(t, 100) || time(NULL) > end)
			fail_msg("move %lu isn't safe: '%s'", move, t->seen[HEIGHT - 1]);
}

/* The first line that isn't right, byte for byte; -1: all are. */
static int wrong_line(const struct terminal *terminal, const struct tetris *t)
{
	char line[TETRIS_WIDTH + 1];
	int i;

	for (i = 0; i < TETRIS_HEIGHT; i++) {
		tetris_line(t, i, line);
		if (memcmp(terminal->seen[1 + i], line, TETRIS_WIDTH))
			return i;
	}
	return -1;
}

static void assert_screen(const struct terminal *terminal, const struct tetris *t)
{
	int i = wrong_line(terminal, t);
	char line[TETRIS_WIDTH + 1];

	if (i < 0)
		return;
	tetris_line(t, i, line);
	fail_msg("line %d is\n'%.*s', and should be\n'%s'", i, TETRIS_WIDTH,
		 terminal->seen[1 + i], line);
}

static void play(struct terminal *master, struct tetris *t, unsigned int moves)
{
	char key[2] = "";

	while (moves--) {
		key[0] = keys[(size_t)rand() % (sizeof(keys) - 1)];
		type(master, key);
		press(t, key[0]);
		wait_until_safe(master, t->moves);
		assert_screen(master, t);
	}
}

static void start_spare(struct terminal *t)
{
	launch(t, "-s", NULL, NULL);
	wait_for(t, 0, ": the spare.");
	wait_for(t, 1, "It waits.");
}

/* Its title says so, and it is drawn as a whole. Returns from which move on. */
static unsigned long wait_for_take_over(struct terminal *spare)
{
	wait_for(spare, 0, ", from move ");
	wait_for(spare, HEIGHT - 1, "no spare: ");
	return strtoul(strstr(spare->seen[0], "move ") + 5, NULL, 10);
}

/* Many moves at once; the master dies amidst them. */
static void lose_master(struct terminal *master, struct terminal *spare, struct tetris *t)
{
	unsigned long before = t->moves, moves, shown;
	char burst[41];
	unsigned int i;

	for (i = 0; i < sizeof(burst) - 1; i++)
		burst[i] = keys[(size_t)rand() % (sizeof(keys) - 1)];
	burst[i] = 0;
	type(master, burst);
	wait_until_safe(master, before + 1 + (unsigned int)rand() % 30);
	kill_off(master);
	shown = (unsigned long)safe_move(master);
	moves = wait_for_take_over(spare);
	print_message("# the master has shown move %lu, the spare goes on from %lu of %lu\n",
		      shown, moves, before + sizeof(burst) - 1);
	/* It may have had one that the master didn't come to show. */
	assert_in_range(moves, shown, shown + 1);
	for (i = 0; i < moves - before; i++)
		press(t, burst[i]);
	assert_screen(spare, t);
}

static void the_spare_has_the_same_game(void **state)
{
	struct terminal at[2], *master = &at[0], *spare = &at[1], *lost;
	struct tetris t;
	int round;

	(void)state;
	if (!fixed_addresses())
		skip();
	start_spare(spare);
	launch(master, "-m", "7", "-w");
	tetris_start(&t, 7);
	wait_until_safe(master, 0);
	assert_screen(master, &t);
	for (round = 0; round < 5; round++) {
		play(master, &t, 20);
		lose_master(master, spare, &t);
		lost = master;
		master = spare;
		spare = lost;
		start_spare(spare);
		wait_until_safe(master, t.moves);
	}
	play(master, &t, 20);
	type(master, "q");
	end_well(master);
	end_well(spare);
}

/* Which the picture says; safe or not. */
static unsigned long move_seen(const struct terminal *t)
{
	return strtoul(t->seen[5] + TETRIS_WELL + 7, NULL, 10);
}

static void pieces_fall_on_the_spare_too(void **state)
{
	time_t end = time(NULL) + PATIENCE_S;
	struct terminal master, spare;
	unsigned long moves;
	struct tetris t;

	(void)state;
	if (!fixed_addresses())
		skip();
	start_spare(&spare);
	launch(&master, "-m", "8", NULL);
	wait_until_safe(&master, 2);
	kill_off(&master);
	moves = wait_for_take_over(&spare) + 2;
	while (move_seen(&spare) < moves && look(&spare, 100) && time(NULL) < end)
		;
	type(&spare, "p");
	wait_for(&spare, 12, "PAUSE");
	assert_true(move_seen(&spare) > moves);
	tetris_start(&t, 8);
	while (t.moves < move_seen(&spare) - 1)
		tetris_move(&t, TETRIS_FALL);
	press(&t, 'p');
	assert_screen(&spare, &t);
	kill_off(&spare);
}

static void who_has_no_spare_plays_on(void **state)
{
	time_t end = time(NULL) + PATIENCE_S;
	struct terminal master;
	const char *k = "aad ";
	struct tetris t;

	(void)state;
	if (!fixed_addresses())
		skip();
	launch(&master, "-m", "9", "-w");
	wait_for(&master, HEIGHT - 1, "no spare: the spare at 127.0.0.1 port ");
	type(&master, k);
	tetris_start(&t, 9);
	for (; *k; k++)
		press(&t, *k);
	while (wrong_line(&master, &t) >= 0 && look(&master, 100) && time(NULL) < end)
		;
	assert_screen(&master, &t);
	kill_off(&master);
}

/* With that among what it says; it ends with 1. */
static void assert_refused(const char *arguments, const char *answer)
{
	char command_line[5000], said[4096];
	size_t n;
	FILE *f;

	snprintf(command_line, sizeof(command_line), "%s %s 2>&1 </dev/null", program, arguments);
	f = popen(command_line, "re");
	assert_non_null(f);
	n = fread(said, 1, sizeof(said) - 1, f);
	said[n] = 0;
	assert_int_equal(WEXITSTATUS(pclose(f)), 1);
	if (!strstr(said, answer))
		fail_msg("'%s' answers '%s'", arguments, said);
}

static void what_makes_no_sense_is_refused(void **state)
{
	(void)state;
	if (!fixed_addresses())
		skip();
	assert_refused("-m -- -g 7x", "'7x' isn't the number of a game");
	assert_refused("-m -- -g -1", "'-1' isn't the number of a game");
	assert_refused("-m -- -g 99999999999999999999", "isn't the number of a game");
	assert_refused("-m -- -k axa", "'x' isn't the key of a move");
	assert_refused("-m -- more", "'more' is too much");
	assert_refused("-m -- -y", "invalid option");
	assert_refused("-m --", "it is played in a terminal");
	assert_refused("-s", "it is played in a terminal");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_game_looks_like_this),
		cmocka_unit_test(another_game_has_other_pieces),
		cmocka_unit_test(each_piece_comes_once_in_seven),
		cmocka_unit_test(full_rows_go),
		cmocka_unit_test(four_turns_are_none),
		cmocka_unit_test(a_wall_pushes_what_turns),
		cmocka_unit_test(it_is_over_when_the_well_is_full),
		cmocka_unit_test(a_pause_holds_all),
		cmocka_unit_test(squares_are_neither_lost_nor_made),
		cmocka_unit_test_teardown(the_spare_has_the_same_game, end_all),
		cmocka_unit_test_teardown(pieces_fall_on_the_spare_too, end_all),
		cmocka_unit_test_teardown(who_has_no_spare_plays_on, end_all),
		cmocka_unit_test(what_makes_no_sense_is_refused),
	};
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 32);
	unsigned int seed = (unsigned int)time(NULL);

	if (n < 0)
		return 1;
	strcpy(strrchr(program, '/') + 1, "tetris-hotspare");
	if (getenv("SEED"))
		seed = (unsigned int)strtoul(getenv("SEED"), NULL, 10);
	print_message("# SEED=%u\n", seed);
	srand(seed);
	own_network();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
