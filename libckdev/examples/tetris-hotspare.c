// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A game that survives the loss of its host. See README.tetris.rst.
 *
 *	tetris-hotspare -s -a MASTER
 *	tetris-hotspare -m -a SPARE -- [-g GAME] [-w]
 *
 * There is a checkpoint for each move, and each step that a piece falls: what the player
 * sees, the spare has. A thread of its own takes them. As long as there is a spare the
 * player waits for it; when there is none he needn't wait until that is found out again.
 *
 * What ncurses knows isn't saved: who goes on opens the terminal that it was started in.
 */
#include <err.h>
#include <errno.h>
#include <ncurses.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/random.h>
#include <termcap.h>
#include <time.h>
#include <unistd.h>

#include <hotspare.h>

#include "tetris.h"

#define GAME	1		/* the class of memory */
#define LINES_NEEDED	(TETRIS_HEIGHT + 2)
#define CTRL(c)		((c) & 037)
#define GLANCE_MS	200	/* so often what is known of the spare is shown */

/* In checkpoint memory. */
struct game {
	struct tetris t;
	bool weightless;	/* pieces fall when the player says so */
};

/* A spare that goes on has not come through main(). */
static bool began_here;
static unsigned long goes_on_from;

/*
 * Checkpoints
 */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t wanted, done;
	unsigned long want, tried;	/* moves */
	bool spare;			/* it has got the last one */
	char why[160];			/* if not */
} keeper = {
	.lock = PTHREAD_MUTEX_INITIALIZER, .wanted = PTHREAD_COND_INITIALIZER,
	.done = PTHREAD_COND_INITIALIZER,
};

/* Until there is something to do. Without a spare one is looked for each second. */
static unsigned long wait_for_move(void)
{
	struct timespec then;
	unsigned long n;

	clock_gettime(CLOCK_MONOTONIC, &then);
	then.tv_sec++;
	pthread_mutex_lock(&keeper.lock);
	while (keeper.tried == keeper.want) {
		if (keeper.spare)
			pthread_cond_wait(&keeper.wanted, &keeper.lock);
		else if (pthread_cond_clockwait(&keeper.wanted, &keeper.lock,
						CLOCK_MONOTONIC, &then) == ETIMEDOUT)
			break;
	}
	n = keeper.want;
	pthread_mutex_unlock(&keeper.lock);
	return n;
}

static void *keep(void *arg)
{
	unsigned long n;
	bool spare;

	(void)arg;
	for (;;) {
		n = wait_for_move();
		spare = !hs_cpt(HSCPT_INCR);
		pthread_mutex_lock(&keeper.lock);
		keeper.tried = n;
		keeper.spare = spare;
		if (!spare)
			snprintf(keeper.why, sizeof(keeper.why), "%s", hs_error());
		pthread_cond_signal(&keeper.done);
		pthread_mutex_unlock(&keeper.lock);
	}
	return NULL;
}

/* Returns when the spare has it, or when there is none. */
static void save(const struct game *g)
{
	pthread_mutex_lock(&keeper.lock);
	keeper.want = g->t.moves;
	pthread_cond_signal(&keeper.wanted);
	while (keeper.spare && keeper.tried != keeper.want)
		pthread_cond_wait(&keeper.done, &keeper.lock);
	pthread_mutex_unlock(&keeper.lock);
}

/* The next cut may be at any moment: it sees whole moves. */
static void move_and_save(struct game *g, enum tetris_move move)
{
	hs_hold();
	tetris_move(&g->t, move);
	hs_release();
	save(g);
}

/*
 * The terminal
 */

static const char pieces[] = "IJLOSTZ";

static void open_terminal(void)
{
	static const short colour[] = {
		COLOR_CYAN, COLOR_BLUE, COLOR_WHITE, COLOR_YELLOW, COLOR_GREEN, COLOR_MAGENTA,
		COLOR_RED,
	};
	short i;

	initscr();
	raw();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	curs_set(0);
	/* What was typed while it waited was meant for nobody. */
	flushinp();
	if (!has_colors() || start_color() == ERR)
		return;
	/* Names that can't be seen make blocks. */
	for (i = 0; pieces[i]; i++)
		init_pair((short)(i + 1), colour[i], colour[i]);
}

/* Blocks are names of pieces that stand twice. */
static void draw_line(int y, const char *text)
{
	const char *piece;
	int x;

	for (x = 0; text[x]; x++) {
		piece = text[x] == ' ' ? NULL : strchr(pieces, text[x]);
		if (piece && ((x && text[x - 1] == text[x]) || text[x + 1] == text[x]))
			mvaddch(y, x, (chtype)text[x] | (chtype)COLOR_PAIR(piece - pieces + 1));
		else
			mvaddch(y, x, (chtype)text[x]);
	}
}

static void draw_title(void)
{
	char host[64] = "", text[128];

	gethostname(host, sizeof(host) - 1);
	if (began_here)
		snprintf(text, sizeof(text), "tetris on %s", host);
	else
		snprintf(text, sizeof(text), "tetris on %s, from move %lu on", host, goes_on_from);
	mvaddnstr(0, 0, text, COLS - 1);
}

static void draw_spare(void)
{
	char text[sizeof(keeper.why) + 32];

	pthread_mutex_lock(&keeper.lock);
	if (keeper.spare)
		snprintf(text, sizeof(text), "safe: the spare has move %lu", keeper.tried);
	else
		snprintf(text, sizeof(text), "no spare: %s", keeper.why);
	pthread_mutex_unlock(&keeper.lock);
	mvaddnstr(LINES_NEEDED - 1, 0, text, COLS - 1);
}

static void draw(const struct game *g)
{
	char line[TETRIS_WIDTH + 1];
	int i;

	erase();
	if (LINES < LINES_NEEDED || COLS <= TETRIS_WIDTH) {
		mvprintw(0, 0, "%d lines of %d characters are needed", LINES_NEEDED,
			 TETRIS_WIDTH + 1);
	} else {
		draw_title();
		for (i = 0; i < TETRIS_HEIGHT; i++) {
			tetris_line(&g->t, i, line);
			draw_line(i + 1, line);
		}
		draw_spare();
	}
	refresh();
}

/* A key, or ERR when the time is over. */
static int get_key(int ms)
{
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
	int key = getch();

	if (key != ERR)
		return key;
	/* Who loses his terminal has failed. */
	if (poll(&p, 1, ms) > 0 && p.revents & (POLLHUP | POLLERR | POLLNVAL))
		exit(1);
	return getch();
}

static bool move_of(int key, enum tetris_move *move)
{
	static const struct {
		int key[2];
		enum tetris_move move;
	} keys[] = {
		{ { 'a', KEY_LEFT }, TETRIS_LEFT }, { { 'd', KEY_RIGHT }, TETRIS_RIGHT },
		{ { 'w', KEY_UP }, TETRIS_TURN }, { { 's', KEY_DOWN }, TETRIS_DOWN },
		{ { ' ', '\r' }, TETRIS_DROP }, { { 'p', 'P' }, TETRIS_PAUSE },
		{ { 'n', 'N' }, TETRIS_NEW },
	};
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (key == keys[i].key[0] || key == keys[i].key[1]) {
			*move = keys[i].move;
			return true;
		}
	return false;
}

/*
 * The game
 */

static unsigned long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (unsigned long)t.tv_sec * 1000 + (unsigned long)t.tv_nsec / 1000000;
}

/* What is left until the piece falls; 0: it is time to. */
static int until_fall(const struct game *g, unsigned long last)
{
	unsigned long pace = g->weightless ? 0 : tetris_pace(&g->t), now = now_ms();

	if (!pace)
		return GLANCE_MS;
	if (now >= last + pace)
		return 0;
	return last + pace - now < GLANCE_MS ? (int)(last + pace - now) : GLANCE_MS;
}

/* At the start, and after a take-over: then with what is there. */
static void play(void *arg)
{
	unsigned long fell = now_ms();
	struct game *g = arg;
	enum tetris_move move;
	pthread_t thread;
	int key, ms;

	goes_on_from = g->t.moves;
	keeper.want = g->t.moves;
	snprintf(keeper.why, sizeof(keeper.why), "it is looked for");
	open_terminal();
	if (pthread_create(&thread, NULL, keep, NULL)) {
		endwin();
		errx(1, "no thread for checkpoints");
	}
	for (;;) {
		draw(g);
		ms = until_fall(g, fell);
		if (!ms) {
			fell = now_ms();
			move_and_save(g, TETRIS_FALL);
			continue;
		}
		key = get_key(ms);
		if (key == 'q' || key == 'Q' || key == CTRL('C'))
			break;
		if (key == CTRL('L'))
			clearok(curscr, TRUE);
		if (move_of(key, &move))
			move_and_save(g, move);
	}
	endwin();
	hs_stop();
}

/* Without a terminal: the game after these keys, as text. */
static int show(struct game *g, const char *keys)
{
	char line[TETRIS_WIDTH + 1];
	enum tetris_move move;
	int i;

	for (; *keys; keys++) {
		if (!move_of(*keys, &move))
			errx(1, "'%c' isn't the key of a move: -k takes a d w s p n and blanks",
			     *keys);
		tetris_move(&g->t, move);
	}
	for (i = 0; i < TETRIS_HEIGHT; i++) {
		tetris_line(&g->t, i, line);
		puts(line);
	}
	return 0;
}

/*
 * The start
 */

/* A spare may need its terminal any time: not then is the time to find that it can't be used. */
static void need_terminal(void)
{
	const char *term = getenv("TERM") ?: "";

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		errx(1, "it is played in a terminal: its input and its output must be one");
	if (tgetent(NULL, term) != 1)
		errx(1, "the terminal '%s' isn't known here: set TERM to one of /lib/terminfo",
		     term);
}

static bool is_spare(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc && strcmp(argv[i], "--"); i++)
		if (!strcmp(argv[i], "-s") || !strcmp(argv[i], "--spare"))
			return true;
	return false;
}

/* Before hs_init(), which doesn't return in a spare. */
static void welcome_spare(void)
{
	char host[64] = "";

	need_terminal();
	/* The program will be started anew: then is the time to say it. */
	if (!(personality(0xffffffff) & ADDR_NO_RANDOMIZE))
		return;
	gethostname(host, sizeof(host) - 1);
	printf("tetris on %s: the spare.\nIt waits. When the master is lost,\n"
	       "the game goes on here.\n", host);
	fflush(stdout);
}

struct options {
	uint64_t game;
	bool weightless;
	const char *keys;
};

static const char usage[] =
	"usage: tetris-hotspare -m -a SPARE [-k KEY] -- [-g GAME] [-w] [-k KEYS]\n"
	"       tetris-hotspare -s -a MASTER [-k KEY]\n"
	"  -g GAME   its number, which says what pieces come (by chance)\n"
	"  -w        weightless: pieces fall by keys only\n"
	"  -k KEYS   don't play, but show what these keys would lead to\n";

static void read_options(int argc, char **argv, struct options *o)
{
	char *end;
	int c;

	if (getrandom(&o->game, sizeof(o->game), 0) != sizeof(o->game))
		err(1, "random numbers");
	while ((c = getopt(argc, argv, "g:wk:")) != -1) {
		switch (c) {
		case 'g':
			errno = 0;
			o->game = strtoull(optarg, &end, 10);
			if (errno || *end || *optarg < '0' || *optarg > '9')
				errx(1, "'%s' isn't the number of a game, as 7", optarg);
			break;
		case 'w':
			o->weightless = true;
			break;
		case 'k':
			o->keys = optarg;
			break;
		default:
			fputs(usage, stderr);
			exit(1);
		}
	}
	if (optind < argc)
		errx(1, "'%s' is too much\n%s", argv[optind], usage);
}

int main(int argc, char *argv[])
{
	struct options o = { 0 };
	struct game *g;
	int n;

	if (is_spare(argc, argv))
		welcome_spare();
	n = hs_init(argc, argv);
	if (n < 0)
		return 1;
	read_options(argc - n, argv + n, &o);
	if (hs_malloc_create(GAME, 4096))
		err(1, "checkpoint memory");
	g = hs_calloc(GAME, 1, sizeof(*g));
	if (!g || hs_threadreg(play, g))
		err(1, "no memory");
	tetris_start(&g->t, o.game);
	g->weightless = o.weightless;
	if (o.keys)
		return show(g, o.keys);
	need_terminal();
	began_here = true;
	play(g);
	return 0;
}
