// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Links under TLS. Between the two daemons lies a wire that keeps what it carries, and that can
 * change it: an attacker on the way. Controls without a key show that it sees pages.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/pem.h>

#include "../cptdevctl/certificate.h"
#include "../cptdevctl/ctl.h"
#include "lines.h"
#include "pair.h"
#include "pki.h"
#include "tcp.h"
#include "uuid.h"

#define KEY_1	"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define KEY_2	"ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100"
#define WIRE_KEEP	(8U << 20)
/* The byte that pages are filled with, so often in a row that no other text has it. */
#define FILLING		0x5a
#define IN_A_ROW	64

/*
 * The wire
 */

struct wire {
	struct sockaddr_storage to;
	int listener;
	int end[2];			/* who connected, and whom he was connected to */
	u8 *kept;			/* both directions, in the order of coming */
	size_t len;
	u64 carried;			/* from who connected */
	u64 flip_at;			/* that byte arrives with a bit changed, 0: none does */
	u64 cut_at;			/* after so many bytes the wire is cut, 0: it isn't */
	u8 *replay;			/* sent instead of what @end[0] sends */
	size_t replay_len;
};

struct world {
	struct pair pair;
	struct wire wire;		/* from A to B */
	char key[2][80];		/* files */
};

static void wire_open(struct wire *w, const struct sockaddr_storage *to, u16 *port)
{
	struct sockaddr_storage here = *to;

	w->to = *to;
	*port = 0;
	((struct sockaddr_in *)&here)->sin_port = 0;
	w->listener = tcp_listen(&here, port);
	assert_true(w->listener >= 0);
	w->end[0] = w->end[1] = -1;
	w->kept = malloc(WIRE_KEEP);
	assert_non_null(w->kept);
}

static void wire_cut(struct wire *w)
{
	int i;

	for (i = 0; i < 2; i++) {
		if (w->end[i] >= 0)
			close(w->end[i]);
		w->end[i] = -1;
	}
}

static void wire_close(struct wire *w)
{
	if (!w->kept)
		return;
	wire_cut(w);
	close(w->listener);
	free(w->kept);
}

static void wire_carry(struct wire *w, int from)
{
	static u8 buf[65536];
	ssize_t n = recv(w->end[from], buf, sizeof(buf), MSG_DONTWAIT);
	size_t sent = 0;

	if (!n || (n < 0 && errno != EAGAIN)) {
		wire_cut(w);
		return;
	}
	if (n < 0)
		return;
	if (!from && w->flip_at > w->carried && w->flip_at <= w->carried + n)
		buf[w->flip_at - w->carried - 1] ^= 1;
	if (!from)
		w->carried += n;
	if (w->len + n <= WIRE_KEEP) {
		memcpy(w->kept + w->len, buf, n);
		w->len += n;
	}
	while (sent < (size_t)n) {
		ssize_t m = send(w->end[!from], buf + sent, n - sent, MSG_NOSIGNAL);

		if (m < 0 && errno != EAGAIN) {
			wire_cut(w);
			return;
		}
		sent += m > 0 ? m : 0;
	}
	if (w->cut_at && w->carried >= w->cut_at)
		wire_cut(w);
}

static void wire_turn(struct wire *w)
{
	struct sockaddr_storage from;

	if (w->end[0] < 0) {
		w->end[0] = tcp_accept(w->listener, &from);
		if (w->end[0] < 0)
			return;
		w->carried = 0;
		w->end[1] = tcp_connect(&w->to, 1000);
	}
	if (tcp_error(w->end[1]))
		wire_cut(w);
	if (w->end[0] >= 0)
		wire_carry(w, 0);
	if (w->end[0] >= 0)
		wire_carry(w, 1);
}

static bool row(const u8 *p, size_t len)
{
	size_t i, n = 0;

	for (i = 0; i < len; i++) {
		n = p[i] == FILLING ? n + 1 : 0;
		if (n == IN_A_ROW)
			return true;
	}
	return false;
}

/*
 * The world
 */

static void key_file(struct world *x, int i, const char *text)
{
	struct host *h = i ? &x->pair.b : &x->pair.a;
	FILE *f;

	snprintf(x->key[i], sizeof(x->key[i]), "%s/key", h->dir);
	f = fopen(x->key[i], "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	chmod(x->key[i], 0600);
	strcpy(h->conf.psk_file, x->key[i]);
}

static void port_of(struct sockaddr_storage *ss, u16 port)
{
	((struct sockaddr_in *)ss)->sin_port = htons(port);
}

/* NULL: without a key. */
static void begin(struct world *x, const char *a, const char *b)
{
	struct pair *p = &x->pair;
	u16 port;

	if (a)
		key_file(x, 0, a);
	if (b)
		key_file(x, 1, b);
	p->a.conf.peers[0].addr = p->b.conf.listen;
	p->b.conf.peers[0].addr = p->a.conf.listen;
	wire_open(&x->wire, &p->b.conf.listen, &port);
	port_of(&p->a.conf.peers[0].addr, port);
	lines_keep();
	host_start(&p->a);
	host_start(&p->b);
}

static void run(struct world *x, u32 ms)
{
	u64 until = clock_mono() + ms * NSEC_PER_MSEC;

	do {
		wire_turn(&x->wire);
		pair_run(&x->pair, 0);
	} while (clock_mono() < until);
}

#define UNTIL(x, cond)							\
	do {								\
		u64 end_ = clock_mono() + WAIT_MS * NSEC_PER_MSEC;	\
		while (!(cond) && clock_mono() < end_)			\
			run(x, 0);					\
		if (!(cond))						\
			fail_msg("not within %u ms: %s", WAIT_MS, #cond); \
	} while (0)

static bool linked(struct world *x)
{
	return host_linked(&x->pair.a) && host_linked(&x->pair.b);
}

static int setup(void **state)
{
	struct world *x = calloc(1, sizeof(*x));

	host_open(&x->pair.a, "alpha", free_port());
	host_open(&x->pair.b, "beta", free_port());
	*state = x;
	return 0;
}

static void pki_dir(const struct host *h, char dir[80])
{
	snprintf(dir, 80, "%s/pki", h->dir);
}

static void forget_pki(const struct host *h)
{
	static const char *const names[] = { "cert.pem", "key.pem", "peers" };
	char dir[80], path[160];
	size_t i;

	pki_dir(h, dir);
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	rmdir(dir);
}

static int teardown(void **state)
{
	struct world *x = *state;
	int i;

	lines_drop();
	for (i = 0; i < 2; i++)
		if (*x->key[i])
			unlink(x->key[i]);
	forget_pki(&x->pair.a);
	forget_pki(&x->pair.b);
	pair_close(&x->pair);
	wire_close(&x->wire);
	free(x);
	return 0;
}

/* It is made anew at once. */
static void link_cut(struct world *x)
{
	wire_cut(&x->wire);
	UNTIL(x, !host_linked(&x->pair.a));
}

static void publish_all(struct pair *p, struct fake_session *s, u8 value)
{
	memset(s->mem, value, s->pages * FAKE_PAGE);
	memset(s->dirty, true, s->pages);
	fake_publish(&p->a.fake, s);
}

/* Pages arrive as they were. */
static void exchange(struct world *x)
{
	struct pair *p = &x->pair;
	struct fake_session *s = fake_session(&p->a.fake, "kv", 1000);
	u32 i;

	for (i = 0; i < 1000; i += 1 + i % 3)
		fake_write(s, i, FILLING);
	fake_publish(&p->a.fake, s);
	UNTIL(x, pair_committed(s));
	assert_true(fake_same(fake_replica(&p->b.fake, "kv"), s));
}

static void pages_arrive(void **state)
{
	struct world *x = *state;

	begin(x, KEY_1 "\n", KEY_1 "\n");
	UNTIL(x, linked(x));
	exchange(x);
	assert_true(x->wire.len > 500 * 4096);
	assert_false(row(x->wire.kept, x->wire.len));
	assert_string_equal(tls_key_id(host_peer(&x->pair.a)->out.conn->tls),
			    tls_key_id(host_peer(&x->pair.b)->in->conn->tls));
	assert_int_equal(strlen(tls_key_id(host_peer(&x->pair.a)->out.conn->tls)), 16);
	/* And as often as one likes. */
	host_kill(&x->pair.b);
	UNTIL(x, !host_linked(&x->pair.a));
	host_start(&x->pair.b);
	UNTIL(x, linked(x));
}

/* The control: the same wire shows them without a key. */
static void without_a_key_they_can_be_read(void **state)
{
	struct world *x = *state;

	x->pair.a.conf.compression = COMPRESSION_OFF;
	begin(x, NULL, NULL);
	UNTIL(x, linked(x));
	exchange(x);
	assert_true(row(x->wire.kept, x->wire.len));
	assert_null(host_peer(&x->pair.a)->out.conn->tls);
}

/*
 * How much of what is encrypted is alike can't be seen, unless a person has said so; pages_arrive()
 * is the control.
 */
static void what_is_encrypted_is_compressed_if_that_is_said(void **state)
{
	struct world *x = *state;

	x->pair.a.conf.compression = COMPRESSION_ON;
	begin(x, KEY_1 "\n", KEY_1 "\n");
	UNTIL(x, linked(x));
	exchange(x);
	assert_true(x->wire.len < 100 * 4096);
}

/* Whatever is tried, nothing is linked, and nothing but a few lines is said. */
static void refused(struct world *x, const char *a, const char *b)
{
	fake_session(&x->pair.a.fake, "kv", 10);
	run(x, 1500);
	assert_false(host_linked(&x->pair.a) || host_linked(&x->pair.b));
	assert_null(fake_replica(&x->pair.b.fake, "kv"));
	assert_null(fake_replica(&x->pair.a.fake, "kv"));

	if (!lines_with(a) || !lines_with(b))
		fail_msg("nobody said '%s', or '%s'; the last line: %s", a, b, lines_last());
	assert_in_range(lines_with(""), 2, 20);
}

static void another_key(void **state)
{
	struct world *x = *state;

	begin(x, KEY_1, KEY_2);
	refused(x, "no link to the peer: TLS: the other side doesn't have this host's key",
		"refused: TLS: the other side has none of this host's keys; both hosts need the same key");
	assert_int_equal(lines_with("linked to"), 0);
}

static void a_peer_without_a_key(void **state)
{
	struct world *x = *state;

	begin(x, NULL, KEY_2);
	refused(x, "refused: TLS: the other side doesn't speak TLS",
		"the peer speaks TLS, this node doesn't");
}

/* The same bytes once more, from the greeting on. */
static void replayed(void **state)
{
	struct world *x = *state;
	struct pair *p = &x->pair;
	u64 stages, lines;
	int fd;

	begin(x, KEY_1, KEY_1);
	UNTIL(x, linked(x));
	exchange(x);
	stages = p->b.fake.stages;
	lines = lines_with("refused: TLS: ");
	fd = tcp_connect(&p->b.conf.listen, 1000);
	assert_true(fd >= 0);
	run(x, 50);
	/* Of both directions: what the answers don't fit to is worth nothing either way. */
	assert_true(send(fd, x->wire.kept, MIN(x->wire.len, 65536U), MSG_NOSIGNAL) > 0);
	UNTIL(x, lines_with("refused: TLS: ") == lines + 1);
	close(fd);
	assert_true(linked(x));
	assert_int_equal(p->b.fake.stages, stages);
}

/* Each byte counts: the handshake's, the greeting's, the pages'. */
static void changed_on_the_way(void **state)
{
	static const u64 at[] = { 1, 6, 50, 200, 400, 600, 5000, 100000 };
	struct world *x = *state;
	struct pair *p = &x->pair;
	struct fake_session *s;
	size_t i;

	begin(x, KEY_1, KEY_1);
	UNTIL(x, linked(x));
	s = fake_session(&p->a.fake, "kv", 1000);
	for (i = 0; i < ARRAY_SIZE(at); i++) {
		u64 connects = host_peer(&p->a)->out.connects;

		link_cut(x);
		x->wire.flip_at = at[i];
		publish_all(p, s, FILLING ^ i);
		UNTIL(x, x->wire.carried >= at[i] && x->wire.end[0] < 0);
		x->wire.flip_at = 0;
		assert_false(pair_committed(s));
		UNTIL(x, pair_committed(s));
		assert_true(host_peer(&p->a)->out.connects > connects);
		assert_true(fake_same(fake_replica(&p->b.fake, "kv"), s));
	}
}

/* An end that nobody has signed is an end of the link, never of what was sent. */
static void cut_short(void **state)
{
	static const u64 at[] = { 3, 100, 500, 700, 20000, 300000 };
	struct world *x = *state;
	struct pair *p = &x->pair;
	struct fake_session *s;
	size_t i;

	begin(x, KEY_1, KEY_1);
	UNTIL(x, linked(x));
	s = fake_session(&p->a.fake, "kv", 1000);
	for (i = 0; i < ARRAY_SIZE(at); i++) {
		link_cut(x);
		x->wire.cut_at = at[i];
		publish_all(p, s, FILLING ^ i);
		UNTIL(x, x->wire.carried >= at[i]);
		x->wire.cut_at = 0;
		UNTIL(x, pair_committed(s));
		assert_true(fake_same(fake_replica(&p->b.fake, "kv"), s));
	}
}

/* A's connection is led back to A: it must not be its own peer. */
static void led_back(void **state)
{
	struct world *x = *state;

	begin(x, KEY_1, KEY_1);
	host_kill(&x->pair.b);
	x->wire.to = x->pair.a.conf.listen;
	refused(x, "refused: TLS: the other side has none of this host's keys",
		"no link to the peer");
	assert_int_equal(lines_with("is this node itself"), 0);
}

/* The configuration is read anew, with that key; NULL: with certificates. */
static int reload(struct host *h, const char *key)
{
	const struct conf *c = &h->daemon.conf;
	char path[100], peer[64];
	FILE *f;
	int ret;

	snprintf(path, sizeof(path), "%s/conf", h->dir);
	tcp_text(&c->peers[0].addr, peer, sizeof(peer));
	*strchr(peer, ':') = '\0';
	f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f, "[node]\nname = %s\ncontrol = %s\nstate_dir = %s\n[listen]\naddress = 127.0.0.1\nport = %u\n"
		"[peer]\naddress = %s\nport = %u\n%s = %s\n"
		"[failover]\nheartbeat_interval_ms = %u\ntimeout_ms = %u\n", c->name,
		c->control, c->state_dir, c->listen_port, peer,
		ntohs(((const struct sockaddr_in *)&c->peers[0].addr)->sin_port), key ? "psk_file" : "pki_dir",
		key ?: c->pki_dir, c->heartbeat_ms,
		c->timeout_ms);
	fclose(f);
	ret = daemon_reload(&h->daemon, path);
	unlink(path);
	return ret;
}

/* A key that is taken out is a stranger's from then on. */
static void a_link_of_an_old_key_ends(void **state)
{
	struct world *x = *state;
	struct pair *p = &x->pair;

	begin(x, KEY_1, KEY_1);
	UNTIL(x, linked(x));
	key_file(x, 0, KEY_1 "\n" KEY_2);
	assert_int_equal(reload(&p->a, x->key[0]), 0);
	run(x, 300);
	assert_true(linked(x));
	assert_int_equal(lines_with("is closed: it was made with a key"), 0);
	key_file(x, 0, KEY_2);
	assert_int_equal(reload(&p->a, x->key[0]), 0);
	assert_in_range(lines_with("is closed: it was made with a key"), 1, 2);
	UNTIL(x, !host_linked(&p->a) && !host_linked(&p->b));
	run(x, 500);
	assert_false(host_linked(&p->a) || host_linked(&p->b));
	key_file(x, 1, KEY_2);
	assert_int_equal(reload(&p->b, x->key[1]), 0);
	UNTIL(x, linked(x));
	exchange(x);
}

/* A new key comes into use without a break, and the old one goes. */
static void new_key(void **state)
{
	struct world *x = *state;
	struct pair *p = &x->pair;
	char old[32];

	begin(x, KEY_1, KEY_1);
	UNTIL(x, linked(x));
	strcpy(old, tls_key_id(host_peer(&p->a)->out.conn->tls));
	/* B takes both, then A uses the new one. */
	key_file(x, 1, "# old\n" KEY_1 "\n\n# new\n" KEY_2 "\n");
	assert_int_equal(daemon_keys(&p->b.daemon), 0);
	key_file(x, 0, KEY_2 "\n" KEY_1);
	assert_int_equal(daemon_keys(&p->a.daemon), 0);
	run(x, 100);
	assert_int_equal(host_peer(&p->a)->out.connects, 1);
	link_cut(x);
	UNTIL(x, linked(x));
	assert_string_not_equal(tls_key_id(host_peer(&p->a)->out.conn->tls), old);
	exchange(x);
	/* The old one is over. */
	key_file(x, 1, KEY_2);
	assert_int_equal(daemon_keys(&p->b.daemon), 0);
	key_file(x, 0, KEY_1);
	assert_int_equal(daemon_keys(&p->a.daemon), 0);
	link_cut(x);
	run(x, 500);
	assert_false(host_linked(&p->a));
}

/*
 * Certificates
 */

#define YEAR	(365L * 24 * 60 * 60)

/* The host gets a certificate of that name, for a new key or for @key, and no peers. */
static EVP_PKEY *certify(struct host *h, const char *name, long from, long to, EVP_PKEY *key)
{
	char peers[160];
	X509 *cert;

	key = key ?: EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	assert_non_null(key);
	cert = pki_certificate(key, name, from, to);
	assert_non_null(cert);
	pki_dir(h, h->conf.pki_dir);
	assert_int_equal(pki_write(h->conf.pki_dir, key, cert, false), 0);
	snprintf(peers, sizeof(peers), "%s/peers", h->conf.pki_dir);
	unlink(peers);
	X509_free(cert);
	return key;
}

/* As the tool does it: @h takes the certificate of @of under that name. */
static void know(struct host *h, const char *name, const struct host *of)
{
	struct ctl ctl = { .out = fopen("/dev/null", "w"), .err = stderr };
	char path[160], hex[PKI_TEXT_LEN];
	char verb[] = "add-peer", *argv[] = { verb, (char *)name, hex, h->conf.pki_dir };
	u8 digest[PKI_DIGEST_LEN];
	X509 *cert;
	FILE *f;

	snprintf(path, sizeof(path), "%s/cert.pem", of->conf.pki_dir);
	f = fopen(path, "r");
	assert_non_null(f);
	cert = PEM_read_X509(f, NULL, NULL, NULL);
	assert_non_null(cert);
	fclose(f);
	assert_int_equal(pki_digest(cert, digest), 0);
	X509_free(cert);
	pki_text(digest, hex);
	assert_int_equal(verb_pki(&ctl, 4, argv), EXIT_DONE);
	fclose(ctl.out);
}

/* Alpha and beta, who know each other. */
static void two_certificates(struct world *x)
{
	struct host *a = &x->pair.a, *b = &x->pair.b;

	EVP_PKEY_free(certify(a, "alpha", -1, YEAR, NULL));
	EVP_PKEY_free(certify(b, "beta", -1, YEAR, NULL));
	know(a, "beta", b);
	know(b, "alpha", a);
}

static void pages_arrive_by_certificates(void **state)
{
	struct world *x = *state;
	struct pair *p = &x->pair;

	two_certificates(x);
	begin(x, NULL, NULL);
	UNTIL(x, linked(x));
	exchange(x);
	assert_true(x->wire.len > 500 * 4096);
	assert_false(row(x->wire.kept, x->wire.len));
	assert_string_equal(tls_peer_name(host_peer(&p->a)->out.conn->tls), "beta");
	assert_string_equal(tls_peer_name(host_peer(&p->b)->in->conn->tls), "alpha");
	/* Each sees the other's. */
	assert_string_equal(tls_key_id(host_peer(&p->a)->out.conn->tls),
			    tls_key_id(host_peer(&p->a)->in->conn->tls));
	assert_string_not_equal(tls_key_id(host_peer(&p->a)->out.conn->tls),
				tls_key_id(host_peer(&p->b)->out.conn->tls));
}

#define NOT_KNOWN	"the other side doesn't know this host's certificate"

static void a_certificate_that_nobody_knows(void **state)
{
	struct world *x = *state;
	char peers[160];

	two_certificates(x);
	snprintf(peers, sizeof(peers), "%s/peers", x->pair.b.conf.pki_dir);
	unlink(peers);
	begin(x, NULL, NULL);
	refused(x, NOT_KNOWN, "no listed peer has the key ");
}

/* Of the right name, but of another key: whoever has signed it. */
static void a_certificate_of_another_key(void **state)
{
	struct world *x = *state;

	two_certificates(x);
	EVP_PKEY_free(certify(&x->pair.a, "alpha", -1, YEAR, NULL));
	know(&x->pair.a, "beta", &x->pair.b);
	begin(x, NULL, NULL);
	refused(x, NOT_KNOWN, "no listed peer has the key ");
}

static void a_certificate_of_another_name(void **state)
{
	struct world *x = *state;

	two_certificates(x);
	know(&x->pair.b, "gamma", &x->pair.a);
	know(&x->pair.b, "alpha", &x->pair.b);
	begin(x, NULL, NULL);
	refused(x, "no link to the peer", "the certificate isn't of gamma, whose key it has");
}

/* Its own certificate is of gamma, as which it is known; it says that it is alpha. */
static void a_node_of_another_name(void **state)
{
	struct world *x = *state;
	struct daemon *d = &x->pair.a.daemon;
	char why[160];

	two_certificates(x);
	EVP_PKEY_free(certify(&x->pair.a, "gamma", -1, YEAR, NULL));
	know(&x->pair.a, "beta", &x->pair.b);
	know(&x->pair.b, "gamma", &x->pair.a);
	assert_null(tls_pki_read(x->pair.a.conf.pki_dir, "alpha", why, sizeof(why)));
	assert_non_null(strstr(why, "cert.pem isn't for alpha, the name of this node"));
	strcpy(x->pair.a.conf.name, "gamma");
	begin(x, NULL, NULL);
	strcpy(d->self.name, "alpha");
	refused(x, "refused: the certificate is of gamma, the node says that it is alpha",
		"the peer refuses: the certificate is of gamma");
}

static void a_certificate_of_another_time(void **state)
{
	struct world *x = *state;
	EVP_PKEY *key;

	two_certificates(x);
	key = certify(&x->pair.a, "alpha", 1000, YEAR, NULL);
	know(&x->pair.a, "beta", &x->pair.b);
	know(&x->pair.b, "alpha", &x->pair.a);
	begin(x, NULL, NULL);
	refused(x, "no link to the peer", "the certificate of alpha isn't valid yet");
	/* A new one of the same key needs no other pin. */
	certify(&x->pair.a, "alpha", -1, YEAR, key);
	know(&x->pair.a, "beta", &x->pair.b);
	assert_int_equal(daemon_keys(&x->pair.a.daemon), 0);
	UNTIL(x, linked(x));
	exchange(x);
	EVP_PKEY_free(key);
}

static void a_certificate_that_expires(void **state)
{
	struct world *x = *state;
	EVP_PKEY *key;
	char why[160];

	two_certificates(x);
	/* The hosts have that long to be linked. */
	key = certify(&x->pair.a, "alpha", -1, 5, NULL);
	know(&x->pair.a, "beta", &x->pair.b);
	know(&x->pair.b, "alpha", &x->pair.a);
	begin(x, NULL, NULL);
	UNTIL(x, linked(x));
	run(x, 6000);
	/* A link that is up stays. */
	assert_true(linked(x));
	link_cut(x);
	UNTIL(x, lines_with("the certificate of alpha has expired"));
	run(x, 300);
	assert_false(host_linked(&x->pair.a) || host_linked(&x->pair.b));
	assert_null(tls_pki_read(x->pair.a.conf.pki_dir, "alpha", why, sizeof(why)));
	assert_non_null(strstr(why, "cert.pem has expired; cptdevctl pki renew"));
	EVP_PKEY_free(key);
}

/* Removal of the pin is the way to revoke one. */
static void a_pin_that_is_removed(void **state)
{
	struct world *x = *state;
	struct pair *p = &x->pair;
	struct ctl ctl = { .out = fopen("/dev/null", "w"), .err = stderr };
	char verb[] = "remove-peer", name[] = "alpha";
	char *argv[] = { verb, name, p->b.conf.pki_dir };
	u64 connects;

	two_certificates(x);
	begin(x, NULL, NULL);
	UNTIL(x, linked(x));
	connects = host_peer(&p->a)->out.connects;
	assert_int_equal(verb_pki(&ctl, 3, argv), EXIT_DONE);
	fclose(ctl.out);
	assert_int_equal(reload(&p->b, NULL), 0);
	UNTIL(x, !host_linked(&p->a) && !host_linked(&p->b));
	run(x, 500);
	assert_false(host_linked(&p->a) || host_linked(&p->b));
	assert_int_equal(host_peer(&p->a)->out.connects, connects);
	know(&p->b, "alpha", &p->a);
	assert_int_equal(reload(&p->b, NULL), 0);
	UNTIL(x, linked(x));
}

static void a_key_and_a_certificate(void **state)
{
	struct world *x = *state;

	two_certificates(x);
	*x->pair.a.conf.pki_dir = '\0';
	begin(x, KEY_1, NULL);
	refused(x, "refused: TLS: ", "no link to the peer: TLS: ");
}

static void not_a_directory(const char *dir, const char *want)
{
	char why[160] = "";

	assert_null(tls_pki_read(dir, "alpha", why, sizeof(why)));
	if (!strstr(why, want))
		fail_msg("'%s' isn't in '%s'", want, why);
}

static void bad_directories(void **state)
{
	struct world *x = *state;
	struct host *a = &x->pair.a;
	char path[160];
	FILE *f;

	not_a_directory("/nonexistent", "cert.pem: No such file");
	two_certificates(x);
	snprintf(path, sizeof(path), "%s/key.pem", a->conf.pki_dir);
	chmod(path, 0640);
	not_a_directory(a->conf.pki_dir, "key.pem: others have rights to it (mode 0640): chmod 600");
	chmod(path, 0600);
	snprintf(path, sizeof(path), "%s/peers", a->conf.pki_dir);
	chmod(path, 0664);
	not_a_directory(a->conf.pki_dir, "peers: others can write it (mode 0664): chmod 644");
	chmod(path, 0644);
	f = fopen(path, "a");
	fputs("# nothing\n\nbeta 123\n", f);
	fclose(f);
	not_a_directory(a->conf.pki_dir, "peers, line 4: a line has a node's name and the 64");
	snprintf(path, sizeof(path), "%s/cert.pem", a->conf.pki_dir);
	f = fopen(path, "w");
	fputs("nothing\n", f);
	fclose(f);
	not_a_directory(a->conf.pki_dir, "cert.pem: there is no certificate in it");
	EVP_PKEY_free(certify(a, "alpha", -1, YEAR, NULL));
	snprintf(path, sizeof(path), "%s/key.pem", a->conf.pki_dir);
	f = fopen(path, "w");
	fputs("nothing\n", f);
	fclose(f);
	not_a_directory(a->conf.pki_dir, "key.pem: there is no private key in it");
	EVP_PKEY_free(certify(a, "alpha", -1, YEAR, NULL));
	begin(x, NULL, NULL);
}

static void not_a_key(struct world *x, const char *text, mode_t mode, const char *want)
{
	char why[160] = "";

	key_file(x, 0, text);
	chmod(x->key[0], mode);
	assert_null(tls_keys_read(x->key[0], x->pair.a.daemon.self.uuid, why, sizeof(why)));
	if (!strstr(why, want))
		fail_msg("'%s' isn't in '%s'", want, why);
}

/* In place of the C library's: the unit's user on this machine. */
#define THE_USER	4711

struct passwd *getpwnam(const char *name)
{
	static struct passwd p = { .pw_uid = THE_USER };

	assert_string_equal(name, "cptdev");
	return &p;
}

/* Root asks with --check-config whether the daemon can begin. */
static void a_key_of_the_daemons_user(void **state)
{
	struct world *x = *state;
	struct tls_keys *k;
	char why[160];

	begin(x, KEY_1, KEY_1);
	if (geteuid())
		skip();
	assert_int_equal(chown(x->key[0], THE_USER, 0), 0);
	k = tls_keys_read(x->key[0], uuid_none, why, sizeof(why));
	assert_non_null(k);
	tls_keys_put(k);
	assert_int_equal(chown(x->key[0], THE_USER + 1, 0), 0);
	assert_null(tls_keys_read(x->key[0], uuid_none, why, sizeof(why)));
	assert_non_null(strstr(why, "it belongs to user 4712"));
}

static void bad_files(void **state)
{
	struct world *x = *state;
	struct daemon *d = &x->pair.a.daemon;
	struct tls_keys *before;
	char why[160];

	begin(x, KEY_1, KEY_1);
	UNTIL(x, linked(x));
	not_a_key(x, "", 0600, "there is no key in it");
	not_a_key(x, "# nothing\n", 0600, "there is no key in it");
	not_a_key(x, "secret\n", 0600, "line 1: a key has 64 hexadecimal digits");
	not_a_key(x, "\n" KEY_1 "00\n", 0600, "line 2: a key has 64");
	not_a_key(x, KEY_1 " \n", 0600, "line 1: a key has 64");
	not_a_key(x, "zz112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", 0600,
		  "line 1: a key has 64");
	not_a_key(x, KEY_1 "\n" KEY_1 "\n" KEY_1 "\n" KEY_1 "\n" KEY_1 "\n", 0600,
		  "line 5: there are more than 4 keys");
	not_a_key(x, KEY_1, 0640, "others have rights to it (mode 0640): chmod 600");
	not_a_key(x, KEY_1, 0604, "others have rights to it");
	assert_null(tls_keys_read(x->pair.a.dir, d->self.uuid, why, sizeof(why)));
	assert_non_null(strstr(why, "it isn't a file"));
	assert_null(tls_keys_read("/nowhere/key", d->self.uuid, why, sizeof(why)));
	assert_non_null(strstr(why, "No such file"));
	/* A file that can't be read changes nothing. */
	before = d->keys;
	assert_int_equal(daemon_keys(d), -1);
	assert_ptr_equal(d->keys, before);
	assert_true(linked(x));
}

static bool same_content(const char *a, const char *b)
{
	char text[2][128] = {};
	FILE *f[2] = { fopen(a, "r"), fopen(b, "r") };
	int i;

	for (i = 0; i < 2; i++) {
		assert_non_null(f[i]);
		assert_non_null(fgets(text[i], sizeof(text[i]), f[i]));
		fclose(f[i]);
	}
	return !strcmp(text[0], text[1]);
}

/* One that is there may be in use; one that is made is taken, and no two are alike. */
static void a_key_is_made(void **state)
{
	struct world *x = *state;
	char path[100], other[100], why[160], text[256];
	char *argv[] = { path };
	struct ctl ctl = { .out = fopen("/dev/null", "w"), .err = fmemopen(text, sizeof(text), "w") };
	struct tls_keys *k;
	struct stat st;

	setbuf(ctl.err, NULL);
	snprintf(path, sizeof(path), "%s/new", x->pair.a.dir);
	snprintf(other, sizeof(other), "%s/other", x->pair.a.dir);
	assert_int_equal(verb_key(&ctl, 0, argv), EXIT_USAGE);
	assert_int_equal(verb_key(&ctl, 1, argv), EXIT_DONE);
	assert_int_equal(rename(path, other), 0);
	assert_int_equal(verb_key(&ctl, 1, argv), EXIT_DONE);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(verb_key(&ctl, 1, argv), EXIT_FAILED);
	assert_non_null(strstr(text, "no key was written"));
	assert_non_null(strstr(text, "File exists"));
	k = tls_keys_read(path, uuid_none, why, sizeof(why));
	assert_non_null(k);
	tls_keys_put(k);
	assert_false(same_content(path, other));
	unlink(path);
	unlink(other);
	fclose(ctl.out);
	fclose(ctl.err);
}

int main(void)
{
#define T(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)
	static const struct CMUnitTest tests[] = {
		T(pages_arrive),
		T(without_a_key_they_can_be_read),
		T(what_is_encrypted_is_compressed_if_that_is_said),
		T(another_key),
		T(a_peer_without_a_key),
		T(replayed),
		T(changed_on_the_way),
		T(cut_short),
		T(led_back),
		T(a_link_of_an_old_key_ends),
		T(new_key),
		T(a_key_of_the_daemons_user),
		T(bad_files),
		T(a_key_is_made),
		T(pages_arrive_by_certificates),
		T(a_certificate_that_nobody_knows),
		T(a_certificate_of_another_key),
		T(a_certificate_of_another_name),
		T(a_node_of_another_name),
		T(a_certificate_of_another_time),
		T(a_certificate_that_expires),
		T(a_pin_that_is_removed),
		T(a_key_and_a_certificate),
		T(bad_directories),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
