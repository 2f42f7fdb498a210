// SPDX-License-Identifier: GPL-2.0-or-later
/* Programs for the restart bench, see work.h. */
#include <err.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "../hotspare.h"
#include "work.h"

static void *need(size_t len)
{
	void *p = hs_malloc(WORK_CLASS, len);

	if (!p)
		err(1, "hs_malloc");
	return p;
}

static uint64_t next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* Below @n, the small ones more often: by the @power. */
static size_t choose(uint64_t *seed, size_t n, int power)
{
	double u = (double)(next(seed) >> 11) / (double)(1ULL << 53), v = 1;

	while (power--)
		v *= u;
	return (size_t)((double)n * v) % n;
}

/*
 * Records, of which a part is in use. "twentieth": those are beside each other, a twentieth of all.
 * "kvstore": popular keys are anywhere.
 */

#define RECORD	256UL
#define EACH	8

struct records {
	uint64_t seed;
	size_t nr;
	unsigned char *v;
};

static void *make_records(size_t bytes)
{
	struct records *r = need(sizeof(*r));
	size_t i;

	*r = (struct records) { .seed = 88172645463325252ULL, .nr = bytes / RECORD, .v = need(bytes) };
	for (i = 0; i < bytes; i += sizeof(uint64_t))
		*(uint64_t *)(r->v + i) = next(&r->seed);
	return r;
}

static unsigned long change_record(struct records *r, size_t i)
{
	unsigned char *v = r->v + i * RECORD;

	v[next(&r->seed) % RECORD]++;
	return v[0];
}

static unsigned long step_twentieth(void *state)
{
	struct records *r = state;
	unsigned long sum = 0;
	int i;

	for (i = 0; i < EACH; i++)
		sum += change_record(r, next(&r->seed) % (r->nr / 20));
	return sum;
}

static unsigned long step_kvstore(void *state)
{
	struct records *r = state;
	unsigned long sum = 0;
	int i;

	for (i = 0; i < EACH; i++)
		sum += change_record(r, choose(&r->seed, r->nr, 8) * 2654435761U % r->nr);
	return sum;
}

/*
 * SQLite: the newest rows are asked for, and changed, more often than old ones
 */

struct database {
	uint64_t seed;
	size_t rows;
	sqlite3 *db;
	sqlite3_stmt *get, *set;
};

static void *db_malloc(int n)
{
	return hs_malloc(WORK_CLASS, (size_t)n);
}

static void db_free(void *p)
{
	hs_free(WORK_CLASS, p);
}

static void *db_realloc(void *p, int n)
{
	return hs_realloc(WORK_CLASS, p, (size_t)n);
}

static int db_size(void *p)
{
	return (int)hs_usable_size(p);
}

static int db_roundup(int n)
{
	return (n + 15) & ~15;
}

static int db_init(void *data)
{
	(void)data;
	return SQLITE_OK;
}

static void db_shutdown(void *data)
{
	(void)data;
}

static void begin_sqlite(void)
{
	static const sqlite3_mem_methods memory = {
		db_malloc, db_free, db_realloc, db_size, db_roundup, db_init, db_shutdown, NULL,
	};

	if (sqlite3_config(SQLITE_CONFIG_MALLOC, &memory) || hs_dso("libsqlite3.so.0"))
		errx(1, "SQLite: its memory");
}

static void sql(struct database *d, const char *text)
{
	if (sqlite3_exec(d->db, text, NULL, NULL, NULL))
		errx(1, "%s: %s", text, sqlite3_errmsg(d->db));
}

static sqlite3_stmt *prepare(struct database *d, const char *text)
{
	sqlite3_stmt *s;

	if (sqlite3_prepare_v2(d->db, text, -1, &s, NULL))
		errx(1, "%s: %s", text, sqlite3_errmsg(d->db));
	return s;
}

static void *make_database(size_t bytes)
{
	struct database *d = need(sizeof(*d));
	char text[256];

	*d = (struct database) { .seed = 88172645463325252ULL, .rows = bytes / 260 };
	if (sqlite3_open(":memory:", &d->db))
		errx(1, "SQLite");
	sql(d, "create table t(id integer primary key, n integer, v text)");
	snprintf(text, sizeof(text), "with recursive c(x) as (select 1 union all select x + 1 from c limit %zu) "
		 "insert into t select x, 0, printf('%%0200d', x) from c", d->rows);
	sql(d, text);
	d->get = prepare(d, "select n, v from t where id = ?");
	d->set = prepare(d, "update t set n = n + 1 where id = ?");
	return d;
}

static unsigned long step_sqlite(void *state)
{
	struct database *d = state;
	unsigned long sum = 0;
	int i;

	for (i = 0; i < 2; i++) {
		sqlite3_stmt *s = i ? d->set : d->get;

		sqlite3_bind_int64(s, 1, (sqlite3_int64)(d->rows - choose(&d->seed, d->rows, 4)));
		while (sqlite3_step(s) == SQLITE_ROW)
			sum += (unsigned long)sqlite3_column_int64(s, 0) + 1;
		sqlite3_reset(s);
	}
	return sum;
}

/*
 * A merge sort, from the bottom up, and back to the beginning
 */

#define MERGED	4096UL

struct sort {
	uint64_t seed;
	uint32_t *from, *to;
	size_t nr, width, at, i, k;		/* the pair of runs at @at, and how far each is */
};

static void *make_sort(size_t bytes)
{
	struct sort *s = need(sizeof(*s));
	size_t i;

	*s = (struct sort) {
		.seed = 88172645463325252ULL, .nr = bytes / 8, .width = 1, .from = need(bytes / 2),
		.to = need(bytes / 2),
	};
	for (i = 0; i < s->nr; i++)
		s->from[i] = (uint32_t)next(&s->seed);
	memcpy(s->to, s->from, s->nr * sizeof(*s->to));
	return s;
}

static void next_pass(struct sort *s)
{
	uint32_t *v = s->from;

	s->from = s->to;
	s->to = v;
	s->at = 0;
	s->width = s->width * 2 < s->nr ? s->width * 2 : 1;
}

static void next_pair(struct sort *s)
{
	s->at += 2 * s->width;
	s->i = s->k = 0;
	if (s->at >= s->nr)
		next_pass(s);
}

static size_t run_length(const struct sort *s, size_t at)
{
	return at >= s->nr ? 0 : s->nr - at < s->width ? s->nr - at : s->width;
}

static unsigned long step_sort(void *state)
{
	struct sort *s = state;
	const uint32_t *a, *b;
	size_t n, left, right;

	for (n = 0; n < MERGED; n++) {
		a = s->from + s->at;
		b = a + s->width;
		left = run_length(s, s->at);
		right = run_length(s, s->at + s->width);
		if (s->i < left && (s->k == right || a[s->i] <= b[s->k])) {
			s->to[s->at + s->i + s->k] = a[s->i];
			s->i++;
		} else {
			s->to[s->at + s->i + s->k] = b[s->k];
			s->k++;
		}
		if (s->i == left && s->k == right)
			next_pair(s);
	}
	return s->width;
}

/*
 * A product of matrices, a row of tiles after the other
 */

#define TILE	64UL

struct matrix {
	size_t tiles, i, j;
	float *a, *b, *c;			/* tile by tile */
};

static float *make_tiles(size_t tiles, uint64_t *seed)
{
	float *v = need(tiles * tiles * TILE * TILE * sizeof(*v));
	size_t i;

	for (i = 0; i < tiles * tiles * TILE * TILE; i++)
		v[i] = (float)(next(seed) % 16);
	return v;
}

static void *make_matrix(size_t bytes)
{
	struct matrix *m = need(sizeof(*m));
	uint64_t seed = 88172645463325252ULL;
	size_t tiles = (size_t)sqrt((double)bytes / (3 * TILE * TILE * sizeof(float)));

	*m = (struct matrix) { .tiles = tiles };
	m->a = make_tiles(tiles, &seed);
	m->b = make_tiles(tiles, &seed);
	m->c = make_tiles(tiles, &seed);
	return m;
}

static void multiply(float *c, const float *a, const float *b)
{
	size_t i, j, k;

	for (i = 0; i < TILE; i++)
		for (k = 0; k < TILE; k++)
			for (j = 0; j < TILE; j++)
				c[i * TILE + j] += a[i * TILE + k] * b[k * TILE + j];
}

static unsigned long step_matrix(void *state)
{
	struct matrix *m = state;
	const size_t tile = TILE * TILE;
	float *c = m->c + (m->i * m->tiles + m->j) * tile;
	size_t k;

	memset(c, 0, tile * sizeof(*c));
	for (k = 0; k < m->tiles; k++)
		multiply(c, m->a + (m->i * m->tiles + k) * tile, m->b + (m->j * m->tiles + k) * tile);
	if (++m->j == m->tiles) {
		m->j = 0;
		m->i = (m->i + 1) % m->tiles;
	}
	return (unsigned long)c[0];
}

const struct work works[] = {
	{ "twentieth", 256, make_records, step_twentieth, NULL },
	{ "kvstore", 64, make_records, step_kvstore, NULL },
	{ "sqlite", 64, make_database, step_sqlite, begin_sqlite },
	{ "sort", 64, make_sort, step_sort, NULL },
	{ "matrix", 64, make_matrix, step_matrix, NULL },
	{ NULL, 0, NULL, NULL, NULL },
};

const struct work *work_find(const char *name)
{
	const struct work *w;

	for (w = works; w->name; w++)
		if (!strcmp(w->name, name))
			return w;
	return NULL;
}
