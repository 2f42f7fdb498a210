// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cptdevctl pki: this host's certificate, and whose certificates it takes, see link/tls_pki.c. What
 * the other host is told is the digest of the public key.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "certificate.h"
#include "ctl.h"
#include "name.h"
#include "pki.h"

#define YEARS	10
#define DAY	(24 * 60 * 60)
/* The other host's clock may be behind. */
#define BEFORE	DAY

static int failed(struct ctl *c, const char *what, int err)
{
	return ctl_fail(c, EXIT_FAILED, "file", err == EEXIST ?
			"cptdevctl pki show; to begin anew, remove the directory on this host and this host on the others" :
			NULL, "%s: %s", what, strerror(err));
}

/*
 * A certificate
 */

static int add(X509 *x, X509V3_CTX *ctx, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, ctx, nid, value);
	int ok = e && X509_add_ext(x, e, -1);

	X509_EXTENSION_free(e);
	return ok ? 0 : -1;
}

static int fill(X509 *x, EVP_PKEY *key, const char *name, long from, long to)
{
	unsigned char serial[16];
	char alt[CPTDEV_NAME_MAX + 8];
	X509_NAME *subject = X509_get_subject_name(x);
	BIGNUM *n;
	X509V3_CTX ctx;
	int ret = -1;

	if (RAND_bytes(serial, sizeof(serial)) != 1)
		return -1;
	serial[0] &= 0x7f;
	n = BN_bin2bn(serial, sizeof(serial), NULL);
	snprintf(alt, sizeof(alt), "DNS:%s", name);
	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
	if (n && X509_set_version(x, X509_VERSION_3) && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) &&
	    X509_gmtime_adj(X509_getm_notBefore(x), from) &&
	    X509_gmtime_adj(X509_getm_notAfter(x), to) && X509_set_pubkey(x, key) &&
	    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name,
				       -1, -1, 0) &&
	    X509_set_issuer_name(x, subject) &&
	    !add(x, &ctx, NID_basic_constraints, "critical,CA:FALSE") &&
	    !add(x, &ctx, NID_key_usage, "critical,digitalSignature") &&
	    !add(x, &ctx, NID_ext_key_usage, "serverAuth,clientAuth") &&
	    !add(x, &ctx, NID_subject_alt_name, alt) && X509_sign(x, key, NULL))
		ret = 0;
	BN_free(n);
	return ret;
}

X509 *pki_certificate(EVP_PKEY *key, const char *name, long from, long to)
{
	X509 *x = X509_new();

	if (x && !fill(x, key, name, from, to))
		return x;
	X509_free(x);
	return NULL;
}

/*
 * Files: each is there as a whole, or not at all.
 */

struct file {
	char path[512], temporary[520];
	FILE *f;
};

/* 0 or an errno. @fresh: a file that is there stays as it is. */
static int file_open(struct file *f, const char *dir, const char *name, mode_t mode, bool fresh)
{
	int fd;

	snprintf(f->path, sizeof(f->path), "%s/%s", dir, name);
	snprintf(f->temporary, sizeof(f->temporary), "%s.new", f->path);
	f->f = NULL;
	if (fresh && !access(f->path, F_OK))
		return EEXIST;
	unlink(f->temporary);
	fd = open(f->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return errno;
	f->f = fdopen(fd, "w");
	if (f->f)
		return 0;
	close(fd);
	return ENOMEM;
}

/* @ok: what was to be written is written. */
static int file_close(struct file *f, bool ok)
{
	int err = 0;

	errno = 0;
	if (!ok || fflush(f->f) || fsync(fileno(f->f)))
		err = errno ? errno : EIO;
	if (fclose(f->f) && !err)
		err = errno;
	if (!err && rename(f->temporary, f->path))
		err = errno;
	if (err)
		unlink(f->temporary);
	return err;
}

int pki_write(const char *dir, EVP_PKEY *key, X509 *cert, bool fresh)
{
	struct file f = {};
	int err = mkdir(dir, 0700) && errno != EEXIST ? errno : 0;

	if (!err)
		err = file_open(&f, dir, PKI_KEY, 0600, fresh);
	if (!err)
		err = file_close(&f, PEM_write_PKCS8PrivateKey(f.f, key, NULL, NULL, 0, NULL, NULL) == 1);
	if (!err)
		err = file_open(&f, dir, PKI_CERT, 0644, false);
	if (!err)
		err = file_close(&f, PEM_write_X509(f.f, cert) == 1);
	return err;
}

static int name_fits(struct ctl *c, const char *name)
{
	if (name_valid(name, strlen(name)) && *name != '.')
		return -1;
	return ctl_fail(c, EXIT_USAGE, "usage", "[node] name in cptdevd.conf(5)",
			"'%s' can't be a node's name", name);
}

/* What the other host has to be told. */
static int tell(struct ctl *c, const char *dir, const char *name, X509 *cert)
{
	char hex[PKI_TEXT_LEN], until[64] = "";
	u8 digest[PKI_DIGEST_LEN];
	struct tm tm;

	if (pki_digest(cert, digest))
		return ctl_fail(c, EXIT_FAILED, "failed", NULL, "OpenSSL can't read the certificate");
	pki_text(digest, hex);
	if (ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1)
		strftime(until, sizeof(until), "%Y-%m-%d", &tm);
	if (c->json) {
		struct json_object *o = js_document();

		js_str(o, "directory", dir);
		js_str(o, "name", name);
		js_str(o, "key", hex);
		js_str(o, "valid_until", until);
		ctl_print_json(c, o);
	} else {
		fprintf(c->out, "%s: the certificate of %s, valid until %s. On the other host:\n\n"
			"cptdevctl pki add-peer %s %s\n", dir, name, until, name, hex);
	}
	return EXIT_DONE;
}

/* DIR is the last argument of each, and may be left out. */
static const char *dir_of(int argc, char **argv, int before)
{
	return argc > before ? argv[before] : PKI_DIR;
}

static int make(struct ctl *c, const char *dir, const char *name, EVP_PKEY *key, bool fresh)
{
	X509 *cert = pki_certificate(key, name, -BEFORE, YEARS * 365L * DAY);
	int err = cert ? pki_write(dir, key, cert, fresh) : ENOMEM;
	int ret;

	if (err) {
		ret = failed(c, dir, err);
	} else {
		c->changed = true;
		ret = tell(c, dir, name, cert);
	}
	X509_free(cert);
	return ret;
}

static int pki_init(struct ctl *c, int argc, char **argv)
{
	const char *dir = dir_of(argc, argv, 1);
	int ret = name_fits(c, argv[0]);
	EVP_PKEY *key;

	if (ret >= 0)
		return ret;
	key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	if (!key)
		return ctl_fail(c, EXIT_FAILED, "failed", NULL, "OpenSSL couldn't make a key");
	ret = make(c, dir, argv[0], key, true);
	EVP_PKEY_free(key);
	return ret;
}

static FILE *open_in(const char *dir, const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return fopen(path, "re");
}

/* The name in it; empty: there is none. */
static void name_in(X509 *cert, char *name, size_t size)
{
	int n = X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, name, size);

	if (n < 0)
		*name = '\0';
}

static X509 *own(struct ctl *c, const char *dir, char *name, size_t size, int *ret)
{
	FILE *f = open_in(dir, PKI_CERT);
	X509 *cert = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;

	if (!cert)
		*ret = ctl_fail(c, EXIT_FAILED, "file", "cptdevctl pki init NAME",
				"%s/%s: %s", dir, PKI_CERT, f ? "there is no certificate in it" :
				strerror(errno));
	else
		name_in(cert, name, size);
	if (f)
		fclose(f);
	return cert;
}

/* The same key, so that the other host needs to be told nothing. */
static int pki_renew(struct ctl *c, int argc, char **argv)
{
	const char *dir = dir_of(argc, argv, 0);
	char name[CPTDEV_NAME_MAX];
	int ret = EXIT_FAILED;
	X509 *old = own(c, dir, name, sizeof(name), &ret);
	FILE *f = old ? open_in(dir, PKI_KEY) : NULL;
	EVP_PKEY *key = f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;

	if (key)
		ret = make(c, dir, name, key, false);
	else if (old)
		ret = ctl_fail(c, EXIT_FAILED, "file", NULL, "%s/%s: there is no private key that can be read", dir,
			       PKI_KEY);
	if (f)
		fclose(f);
	EVP_PKEY_free(key);
	X509_free(old);
	return ret;
}

static int pki_show(struct ctl *c, int argc, char **argv)
{
	const char *dir = dir_of(argc, argv, 0);
	char name[CPTDEV_NAME_MAX], line[256];
	int ret = EXIT_FAILED;
	X509 *cert = own(c, dir, name, sizeof(name), &ret);
	FILE *f;

	if (!cert)
		return ret;
	ret = tell(c, dir, name, cert);
	X509_free(cert);
	f = c->json ? NULL : open_in(dir, PKI_PEERS);
	if (f)
		fputs("\nPeers:\n\n", c->out);
	while (f && fgets(line, sizeof(line), f))
		fputs(line, c->out);
	if (f)
		fclose(f);
	return ret;
}

/*
 * Peers
 */

/* All lines but those of @name, then @line, which may be NULL. *@found: there was one. */
static int rewrite(const char *dir, const char *name, const char *line, bool *found)
{
	FILE *from = open_in(dir, PKI_PEERS);
	size_t len = strlen(name);
	char text[256];
	struct file f = {};
	int err = from || errno == ENOENT ? file_open(&f, dir, PKI_PEERS, 0644, false) : errno;

	*found = false;
	while (!err && from && fgets(text, sizeof(text), from)) {
		bool its = !strncmp(text, name, len) && strchr(" \t", text[len]);

		*found |= its;
		if (!its)
			fputs(text, f.f);
	}
	if (!err && line)
		fprintf(f.f, "%s\n", line);
	if (!err)
		err = file_close(&f, !ferror(f.f) && !(from && ferror(from)));
	if (from)
		fclose(from);
	return err;
}

static bool is_digest(const char *text)
{
	return strlen(text) == 2 * PKI_DIGEST_LEN &&
		strspn(text, "0123456789abcdefABCDEF") == 2 * PKI_DIGEST_LEN;
}

static int pki_add(struct ctl *c, int argc, char **argv)
{
	const char *dir = dir_of(argc, argv, 2);
	char line[CPTDEV_NAME_MAX + 2 * PKI_DIGEST_LEN + 8];
	bool found;
	int ret = name_fits(c, argv[0]), err;

	if (ret >= 0)
		return ret;
	if (!is_digest(argv[1]))
		return ctl_fail(c, EXIT_USAGE, "usage", "cptdevctl pki show on that host",
				"'%s' isn't a key: it has %d hexadecimal digits", argv[1],
				2 * PKI_DIGEST_LEN);
	snprintf(line, sizeof(line), "%s %s", argv[0], argv[1]);
	err = rewrite(dir, argv[0], line, &found);
	if (err)
		return failed(c, dir, err);
	c->changed = true;
	fprintf(c->json ? c->err : c->out, "%s may be linked with this host%s. Next: systemctl reload cptdevd\n",
		argv[0], found ? " by this key, and by no other one any more" : "");
	return EXIT_DONE;
}

static int pki_remove(struct ctl *c, int argc, char **argv)
{
	const char *dir = dir_of(argc, argv, 1);
	bool found;
	int err = rewrite(dir, argv[0], NULL, &found);

	if (err)
		return failed(c, dir, err);
	if (!found)
		return ctl_fail(c, EXIT_FAILED, "peer", "cptdevctl pki show", "no peer is called %s",
				argv[0]);
	c->changed = true;
	fprintf(c->json ? c->err : c->out, "%s may not be linked with this host any more. Next: systemctl reload cptdevd\n",
		argv[0]);
	return EXIT_DONE;
}

int verb_pki(struct ctl *c, int argc, char **argv)
{
	static const struct {
		const char *name;
		int args;
		int (*fn)(struct ctl *c, int argc, char **argv);
	} verbs[] = {
		{ "init", 1, pki_init }, { "renew", 0, pki_renew }, { "show", 0, pki_show },
		{ "add-peer", 2, pki_add }, { "remove-peer", 1, pki_remove },
	};
	size_t i;

	for (i = 0; argc && i < ARRAY_SIZE(verbs); i++)
		if (!strcmp(argv[0], verbs[i].name) && argc - 1 >= verbs[i].args &&
		    argc - 1 <= verbs[i].args + 1)
			return verbs[i].fn(c, argc - 1, argv + 1);
	return ctl_fail(c, EXIT_USAGE, "usage", "cptdevctl --help",
			"pki needs init NAME, add-peer NAME KEY, remove-peer NAME, renew, or show, each with a directory if it isn't "
			PKI_DIR);
}
