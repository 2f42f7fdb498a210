// SPDX-License-Identifier: GPL-2.0-only
/*
 * A process that makes calls: its threads, what they share, and what is checked about
 * every single answer.
 */
#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include <linux/netlink.h>

#include "fuzz.h"

static const struct kind_group *const groups[] = {
	&ioctl_group, &sequence_group, &file_group, &netlink_group, &memory_group,
};

#define NR_GROUPS	(sizeof(groups) / sizeof(groups[0]))

static __thread struct thread *self;

/*
 * Kinds
 */

size_t kinds_count(void)
{
	size_t i, n = 0;

	for (i = 0; i < NR_GROUPS; i++)
		n += groups[i]->nr;
	return n;
}

const struct kind *kind_at(size_t i)
{
	size_t g;

	for (g = 0; i >= groups[g]->nr; g++)
		i -= groups[g]->nr;
	return &groups[g]->v[i];
}

static size_t kind_index(const struct kind *k)
{
	size_t g, n = 0;

	for (g = 0; k < groups[g]->v || k >= groups[g]->v + groups[g]->nr; g++)
		n += groups[g]->nr;
	return n + (k - groups[g]->v);
}

const struct kind *kind_named(const char *name)
{
	size_t i = 0;

	while (strcmp(kind_at(i)->name, name))
		i++;
	return kind_at(i);
}

static const struct kind *any_kind(struct thread *t)
{
	static unsigned int sum;
	size_t i, n = kinds_count();
	unsigned int weight = 0, at;

	if (!sum) {
		for (i = 0; i < n; i++)
			weight += kind_at(i)->weight;
		sum = weight;
	}
	at = rnd(t, sum);
	for (i = 0; at >= kind_at(i)->weight; i++)
		at -= kind_at(i)->weight;
	return kind_at(i);
}

/* splitmix64, of two numbers; never 0, which the generator would stay at. */
uint64_t fuzz_mix(uint64_t a, uint64_t b)
{
	uint64_t x = a + (b + 1) * 0x9e3779b97f4a7c15ULL;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	x ^= x >> 31;
	return x ?: 1;
}

/*
 * What was done last
 */

static int entry_text(const struct entry *e, char *text, size_t len)
{
	static const char *const names[] = { BAD_NAMES };
	int n = snprintf(text, len, "%llu %s fd=%d", (unsigned long long)e->n,
			 kind_at(e->kind)->name, e->fd);
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (e->bad & 1U << i)
			n += snprintf(text + n, len - n, " bad-%s", names[i]);
	for (i = 0; i < 8; i++)
		n += snprintf(text + n, len - n, " %llx", (unsigned long long)e->word[i]);
	if (e->ret == RUNNING)
		return n + snprintf(text + n, len - n, " ...");
	return n + snprintf(text + n, len - n, " = %s",
			    e->ret < 0 ? strerrorname_np(-e->ret) ?: "?" : "ok");
}

void fuzz_print_log(const struct log *log)
{
	uint64_t i = log->n > RING ? log->n - RING : 0;
	char text[512];

	for (; i < log->n; i++) {
		entry_text(&log->v[i % RING], text, sizeof(text));
		printf("#     %s\n", text);
	}
}

/* With -v each call goes to the kernel's log before it is made: to find a crash. */
static void tell(const struct thread *t)
{
	static int fd = -1;
	char text[560];
	int n;

	if (!shared->verbose)
		return;
	if (fd < 0)
		fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	n = snprintf(text, sizeof(text), "fuzz %d.%d: ", t->proc, t->nr);
	n += entry_text(t->entry, text + n, sizeof(text) - n);
	if (write(fd, text, n) < 0)
		return;
}

/* A log belongs to a thread, or to all children of a process: these may mix it up. */
void fuzz_begin(struct thread *t, const struct kind *k, int fd, const void *words)
{
	struct log *log = &shared->log[t->proc][t->foreign ? THREADS : t->nr];
	struct entry *e = &log->v[log->n % RING];

	*e = (struct entry) {
		.n = log->n, .kind = kind_index(k), .bad = t->bad, .fd = fd, .ret = RUNNING,
	};
	if (words)
		memcpy(e->word, words, sizeof(e->word));
	log->n++;
	t->entry = e;
	tell(t);
	if (!(k->flags & AROUND)) {
		atomic_fetch_add(&shared->calls, 1);
		atomic_fetch_add(&shared->per_process[t->proc], 1);
	}
}

/*
 * What may be answered
 */

static void fail(struct thread *t, const struct kind *k, int err, const char *why)
{
	int key = kind_index(k) * ERRNO_MAX + err;
	struct failure *f;
	unsigned int n;

	/* The first of its sort. */
	atomic_fetch_add(&shared->wrong, 1);
	for (n = 0; n < FAILURES_MAX && n < shared->nr_failures; n++)
		if (shared->failure[n].kind * ERRNO_MAX + shared->failure[n].err == key)
			return;
	n = atomic_fetch_add(&shared->nr_failures, 1);
	if (n >= FAILURES_MAX)
		return;
	f = &shared->failure[n];
	f->proc = t->proc;
	f->log = t->foreign ? THREADS : t->nr;
	f->kind = kind_index(k);
	f->err = err;
	f->bad = t->bad;
	snprintf(f->why, sizeof(f->why), "%s", why);
	f->calls = shared->log[t->proc][f->log];
}

/*
 * The errors of all calls, each only if there was a reason for it. Who sees EINTR has
 * survived the signal: that only those may answer who wait.
 */
static bool common_error(const struct thread *t, const struct kind *k, int err)
{
	switch (err) {
	case ENOMEM:
	case EBADF:			/* closed, or never opened */
		return true;
	case ENOTTY:
		return t->bad & (BAD_KIND | BAD_COMMAND);
	case EINVAL:
		return t->bad & (BAD_SIZE | BAD_RESERVED);
	case E2BIG:
		return t->bad & BAD_SIZE;
	case EOPNOTSUPP:
		return t->bad & BAD_FLAGS;
	case EFAULT:
		return t->bad & BAD_POINTER;
	case EMFILE:
	case ENFILE:
		return k->flags & NEW_FD;
	case EXDEV:
		return (k->flags & OWN) && t->foreign;
	case EAGAIN:			/* memory to come is locked, and mustn't be */
		return k->flags & OWN;
	case EPERM:
		return (k->flags & CAP) && !t->privileged;
	}
	return false;
}

static bool own_error(const struct thread *t, const struct kind *k, int err)
{
	const short *e = k->errors;

	/* Root opens anybody's. */
	if (err == EACCES && k->slot == DEVICE && k->cmd && t->privileged)
		return false;
	while (*e && *e != err)
		e++;
	return *e;
}

int fuzz_end(struct thread *t, const struct kind *k, int ret)
{
	size_t i = kind_index(k);
	int err = ret < 0 ? -ret : 0;

	t->entry->ret = ret;
	t->entry->bad = t->bad;
	atomic_fetch_add(&shared->kind[i].calls, 1);
	if (!err)
		atomic_fetch_add(&shared->kind[i].ok, 1);
	else if (err < ERRNO_MAX)
		atomic_fetch_add(&shared->kind[i].errors[err], 1);
	if (k->flags & AROUND)
		return ret;
	if (!err && t->bad & (BAD_KIND | BAD_COMMAND | BAD_RESERVED))
		fail(t, k, 0, "a spoilt call worked");
	if (!err && t->foreign && (k->flags & OWN))
		fail(t, k, 0, "worked in a foreign address space");
	if (err && !common_error(t, k, err) && !own_error(t, k, err))
		fail(t, k, err, "this error isn't documented");
	return ret;
}

/*
 * A thread
 */

void fuzz_steps(struct thread *t, unsigned long calls)
{
	while (calls--) {
		const struct kind *k = any_kind(t);

		k->run(t, k);
	}
}

/* Tells the parent. */
__attribute__((noreturn)) static void give_up(int proc, const char *why)
{
	snprintf(shared->why[proc], sizeof(shared->why[proc]), "%s (%s)", why,
		 strerrorname_np(errno) ?: "0");
	_exit(1);
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	const ucontext_t *at = context;
	char why[96];

	if (!self)
		_exit(1);
	if (self->guarded)
		siglongjmp(self->fault, sig);
	snprintf(why, sizeof(why), "signal %d, code %d, at %p, from %#llx", sig, info->si_code,
		 info->si_addr, (unsigned long long)at->uc_mcontext.gregs[REG_RIP]);
	give_up(self->proc, why);
}

static void on_kick(int sig)
{
	(void)sig;
}

/* Of each process its own. */
int fuzz_arg_memory(struct thread *t)
{
	int fd = memfd_create("arg", MFD_CLOEXEC);

	if (ftruncate(fd, ARG_LEN))
		return -1;
	/* A page more, which goes again: nothing is mapped behind. */
	t->arg = mmap(NULL, ARG_LEN + PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_32BIT, fd,
		      0);
	t->arg_readonly = mmap(NULL, ARG_LEN, PROT_READ, MAP_SHARED | MAP_32BIT, fd, 0);
	close(fd);
	if (t->arg == MAP_FAILED || t->arg_readonly == MAP_FAILED)
		return -1;
	return mprotect(t->arg + ARG_LEN, PAGE, PROT_NONE);
}

static int thread_init(struct thread *t, int proc, int nr, bool privileged)
{
	t->proc = proc;
	t->nr = nr;
	t->privileged = privileged;
	t->rng = fuzz_mix(shared->seed, (shared->batch * PROCS + proc) * LOGS + nr);
	t->vec = mmap(NULL, VEC_LEN + PAGE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	t->data = mmap(NULL, DATA_LEN + PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (t->vec == MAP_FAILED || t->data == MAP_FAILED || fuzz_arg_memory(t))
		return -1;
	mprotect(t->vec + VEC_LEN, PAGE, PROT_NONE);
	mprotect(t->data + DATA_LEN, PAGE, PROT_NONE);
	t->netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	if (t->netlink < 0)
		return -1;
	return pipe2(t->pipe, O_CLOEXEC | O_NONBLOCK);
}

/*
 * A process
 */

struct worker {
	struct thread thread;
	pthread_t id;
	unsigned long calls;
};

static atomic_int running;
/* Nobody begins before all are there: one may lock all memory, and no stack is had then. */
static pthread_barrier_t all_there;

static void *thread_main(void *arg)
{
	struct worker *w = arg;

	self = &w->thread;
	pthread_barrier_wait(&all_there);
	fuzz_steps(self, w->calls);
	running--;
	return NULL;
}

/* Slots get something of their kind. Without, a process still has something to do. */
static void fill_slots(struct thread *t)
{
	int p[2], i;

	dup3(open("/dev/null", O_RDWR), OTHER_FD, 0);
	if (!pipe(p))
		dup3(p[0], OTHER_FD + 1, 0);
	dup3(memfd_create("data", 0), OTHER_FD + 2, 0);
	if (ftruncate(OTHER_FD + 2, ARENA_LEN))
		return;
	dup3(open("/", O_PATH), OTHER_FD + 3, 0);
	for (i = 0; i < 8; i++)
		kind_named("open")->run(t, kind_named("open"));
}

static void become_user(int proc)
{
	struct passwd *pw = getpwnam("tester");
	uid_t uid = pw ? pw->pw_uid : 65534;
	gid_t gid = pw ? pw->pw_gid : 65534;

	if (initgroups("tester", gid) || setresgid(gid, gid, gid) ||
	    setresuid(uid, uid, uid))
		give_up(proc, "can't become another user");
	prctl(PR_SET_DUMPABLE, 1);
}

static void catch_signals(void)
{
	struct sigaction fault = {
		.sa_sigaction = on_fault, .sa_flags = SA_NODEFER | SA_SIGINFO,
	};
	struct sigaction kick = { .sa_handler = on_kick };

	sigaction(SIGSEGV, &fault, NULL);
	sigaction(SIGBUS, &fault, NULL);
	sigaction(SIGUSR1, &kick, NULL);
	sigaction(SIGALRM, &kick, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* Whoever waits gets a signal now and then. */
void fuzz_process(int proc, unsigned long calls, bool privileged)
{
	static struct worker w[THREADS];
	int i;

	catch_signals();
	fuzz_arena();
	for (i = 0; i < THREADS; i++)
		if (thread_init(&w[i].thread, proc, i, privileged))
			give_up(proc, "no memory or descriptors to begin with");
	if (!privileged)
		become_user(proc);
	self = &w[0].thread;
	fill_slots(self);
	running = THREADS;
	pthread_barrier_init(&all_there, NULL, THREADS);
	for (i = 0; i < THREADS; i++) {
		w[i].calls = calls / THREADS + 1;
		if (pthread_create(&w[i].id, NULL, thread_main, &w[i]))
			give_up(proc, "no thread");
	}
	while (running) {
		usleep(20000);
		for (i = 0; i < THREADS; i++)
			if (running)
				pthread_kill(w[i].id, SIGUSR1);
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(w[i].id, NULL);
	_exit(0);
}

/* As another program, with the descriptors of the one before. */
void fuzz_after_exec(int proc, uint64_t seed, bool privileged)
{
	static struct thread t;

	catch_signals();
	fuzz_arena();
	if (thread_init(&t, proc, THREADS, privileged))
		_exit(1);
	t.foreign = true;
	/* Each another: one that forks and calls exec again would do so without end. */
	t.rng = fuzz_mix(seed, 2);
	self = &t;
	fuzz_steps(&t, 20 + rnd(&t, 20));
	_exit(0);
}
