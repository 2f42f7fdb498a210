/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: a program whose memory survives the loss of its host.
 *
 * Calls return 0 or a pointer; on failure -1 or NULL, and errno says why. They may be
 * called by any thread. Those that A. Kantee, "Using application-driven checkpointing logic
 * on Hot Spare High Availability", appendix A has are meant as there; others go beyond it.
 */
#ifndef HOTSPARE_H
#define HOTSPARE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Beginning and ending
 */

/**
 * hs_init - become master or spare, as the arguments say
 * @argc, @argv: those of main(), which calls this before anything else: the program is
 *	started anew without address randomisation. Options up to "--" are the library's:
 *	-m (--master) or -s (--spare), -a (--address) ADDRESS of the other host, -p (--port)
 *	PORT (7411), -n (--pipes) N asynchronous checkpoints under way at a time (1), -t (--timeout)
 *	SECONDS (5), -f (--file) FILE for checkpoints, -r (--restart) FILE to begin from,
 *	-g (--generation) N, the last generation that -r may begin from, -c (--check) to say what
 *	would break if -r began, and exit with 0, or 1 if there is anything,
 *	-S (--session) NAME: the host's cptdevd brings checkpoints to the other host; without it
 *	and with -a or -s the process starts a private cptdevd (CPTDEVD in the environment says
 *	where that is) which ends with it,
 *	-b (--backend) module, portable, compare or auto (what the environment has as
 *	HOTSPARE_BACKEND, or auto): see hs_backend(),
 *	-w (--watchdog) SECONDS: with a spare, a program that hangs, in which neither hs_cpt() nor
 *	hs_may_serve() is called for so long, is told to cptdevd (on_hang in cptdevd.conf(5)); with
 *	-a the spare takes over,
 *	-x (--command) COMMAND that moves the service's address.
 *
 * A spare doesn't return: when the master has failed the threads that are registered in
 * its last checkpoint run, and when they have returned the process ends with 0. The same
 * is true of a master with -r. When the master has called hs_stop() after a checkpoint its spare ends
 * with 0, but not with -S. A master with -S asks cptdevd first: if its state is elsewhere it becomes the
 * spare.
 *
 * Returns how many arguments were used, to add to @argv and take from @argc: then "--" is
 * in the place of the program's name. Or -1: what is wrong was told on stderr. Errors:
 * EINVAL: the arguments. EBUSY: cptdevd says that the program mustn't begin with empty memory, and a
 * person has to decide. EEXIST: another program here has the session's name. EFBIG: the size of files is
 * limited. EPERM: address randomisation can't be switched off. ECHILD, ETIMEDOUT: a master's command has
 * failed, or taken too long. ENOENT: there is no cptdevd, or no such file. ECONNREFUSED, ETIMEDOUT: the
 * private cptdevd has ended at once, or lets nobody in. ECONNRESET: the private one of a spare has ended.
 * EADDRINUSE and others of socket calls. ENODATA: the function of hs_det_reg() says that the master is dead,
 * and there is nothing to go on with; or a file that is cut off. EBADMSG, ENOEXEC: a checkpoint that is
 * damaged, or of another program. EPROTONOSUPPORT: its format is another version. ESTALE: it is an increment, of what
 * isn't there, or there is no generation N. EISDIR: it is a directory. Those of open(2).
 */
int hs_init(int argc, char *argv[]);

/**
 * hs_may_serve - may clients be answered?
 *
 * For programs with a spare (-S or -a of hs_init(3), hs_cpipe_loadtcp()), right before answers go out,
 * also those to reads. It is no system call where there are leases; with -w some are a sign of life.
 *
 * Returns 1; or 0: not at this moment: no spare was heard for as long as the lease lasts, so that it
 * may have taken over, or a person has to decide; keep the answer and ask again; or -1 with errno
 * ESTALE: a spare has taken over, hs_rejoin() comes next. In other programs always 1.
 */
int hs_may_serve(void);

/**
 * hs_wanted - does the spare need a checkpoint?
 *
 * For an idle program with a spare, as above: one is there that lacks the program's state, and
 * no client will make it take a checkpoint. Until it does, "cptdevctl status" says that it isn't
 * protected. Where the module has no leases always 0.
 *
 * Returns 1: call hs_cpt() soon; or 0.
 */
int hs_wanted(void);

/**
 * hs_rejoin - become the spare of the program that took over
 *
 * For a program with a spare (-S or -a of hs_init()), when hs_cpt() has failed with ESTALE or hs_may_serve() returns
 * -1. The process starts its program anew by execve(2), with the arguments that it was started
 * with, as the spare; descriptors but 0, 1 and 2 are closed. Memory is gone but for a checkpoint in a file in
 * memory, which is kept until the program that took over has sent everything; its name is told on stderr.
 *
 * Returns only on failure. Errors: EINVAL: it wasn't started with one. ECHILD: the process is a child of
 * the one that takes checkpoints. ENOMEM, and those of execve(2).
 */
int hs_rejoin(void);

/**
 * hs_stop - the program is about to end, and its spare shall, too
 *
 * Waits for checkpoints that are under way; as hs_cpt_wait(). Errors: EDEADLK: in a hook.
 */
int hs_stop(void);

/**
 * hs_daemon - daemon(3) for a program that takes checkpoints
 * @nochdir: 0: the directory will be /
 * @noclose: 0: standard input, output and error will be /dev/null
 *
 * Between hs_init() and the first thread: only the calling thread goes on, in another
 * process, which takes the checkpoints from then on. The spare doesn't notice; it takes over from the new
 * process once that has taken a checkpoint. After daemon(3)
 * or fork(2) the child takes none: hs_cpt() fails there with ECHILD, and the spare takes over
 * when the parent ends. The next checkpoint is a whole one.
 *
 * Errors: ECHILD: this is such a child. EDEADLK: in a hook, or between hs_hold() and
 * hs_release(). Those of fork(2), setsid(2), chdir(2) and open(2).
 */
int hs_daemon(int nochdir, int noclose);

/**
 * hs_backend - who takes checkpoints
 *
 * "module": the cptdev module, by a snapshot of what is saved. "portable": the library alone,
 * by a fork; which pages it compares may be told by PAGEMAP_SCAN or soft-dirty bits, but not
 * with -b compare.
 * hs_init() has chosen, see its option -b; later it may become "portable" if the module can't
 * track what is saved.
 */
const char *hs_backend(void);

/**
 * hs_check - a dry run: what would break if a spare took over now?
 *
 * Takes a whole checkpoint, hooks included, and restores it in a new process of the same
 * program, which doesn't get beyond hs_init(): nothing is bound, opened or run there. Each
 * finding is one line of standard error: no thread is registered; code that isn't there;
 * memory that isn't ours or is damaged; what looks like a pointer to memory that isn't saved,
 * or like a lock that somebody has; files that are missing or have changed; descriptors that
 * aren't registered, unless they were open when the program was started. A connection is told as a note, and isn't counted. What looks like a
 * pointer may be a number, and what isn't found may break all the same. Costs as much as the
 * checkpoint and a restart. Option -c of hs_init() does the same of a file, as far as that can
 * be seen there.
 *
 * Returns the number of findings, or -1. Errors: EDEADLK: in a hook, or between hs_hold() and
 * hs_release(). ECHILD: as hs_cpt(); or the process ended before its end, since main() doesn't
 * begin with hs_init(). ENOMEM, EAGAIN.
 */
int hs_check(void);

/** struct hs_stats - of this process; times in nanoseconds */
struct hs_stats {
	uint64_t checkpoints;		/* that were delivered */
	uint64_t failed;		/* that were taken and weren't */
	uint64_t cuts;
	uint64_t pause_ns;		/* for which the last cut held the program */
	uint64_t pause_max_ns;
	uint64_t pause_sum_ns;
};

/** hs_stats - what checkpoints have cost so far */
void hs_stats(struct hs_stats *to);

/** hs_error - why this thread's last hs_cpt(), hs_cpt_wait(), hs_check(), hs_daemon(), hs_range()
 * or hs_run() failed, as text */
const char *hs_error(void);

/*
 * Finding out that the master has failed. cptdevd(8) decides: at once when the program has ended, after
 * the timeout (see hs_init()) when its host isn't heard any more, and when the last lease is over.
 */

/**
 * hs_det_reg - ask a function instead; before hs_init(). A spare with -S isn't asked: its host's cptdevd is
 *	configured by whoever runs it
 * @detfunc: called all the time with @funcarg, in a thread of its own; it may take its time.
 *	0: the master is alive, else it is dead
 */
void hs_det_reg(int (*detfunc)(void *), void *funcarg);

/** hs_det_ping4 - dead if it doesn't answer to three pings in a row; @funcarg: an address */
int hs_det_ping4(void *funcarg);

/** hs_det_ping6 - the same, IPv6 */
int hs_det_ping6(void *funcarg);

/**
 * hs_det_daemon - dead if the host's cptdevd(8) has lost it; @funcarg: the path of its control socket,
 * or NULL for the usual one. For a function of the program's own: as that of hs_det_reg() it is as if
 * there were none.
 */
int hs_det_daemon(void *funcarg);

/** hs_det_file - dead as soon as there is a file of that name, which is removed */
int hs_det_file(void *funcarg);

/*
 * Where checkpoints go. With the option -f hs_init() makes the pool and the pipes; with -a or -S it needs none.
 */

/** hs_cpipe_init - make a pool for that many pipes, 1 to 64. Errors: EINVAL: another number.
 * EEXIST: there is one. EDEADLK: in a hook. ECHILD: in a child of who takes the checkpoints. ENOMEM.
 */
int hs_cpipe_init(int ncon);

/**
 * hs_cpipe_load - add a descriptor that whole checkpoints are written to
 *
 * One is delivered when all of it was written. Errors: EBADF: it isn't open, or not for
 * writing. ENOENT: there is no pool. ENOSPC: it is full. EDEADLK: in a hook. ECHILD: in a
 * child of who takes the checkpoints. ENOMEM.
 */
int hs_cpipe_load(int fd);

struct sockaddr;
struct sockaddr_in;

/**
 * hs_cpipe_loadtcp - have a spare, which needn't be there yet: as option -a of hs_init()
 * @target: IPv4 or IPv6, and the port
 *
 * Several to the same spare let as many asynchronous checkpoints be under way. Errors: EOPNOTSUPP: the
 * program has another spare. ENOENT, ECONNREFUSED, ETIMEDOUT: no private cptdevd, as hs_init().
 * EAFNOSUPPORT: another kind of address. EINVAL: none, or @len is another length. ENOENT,
 * ENOSPC, EDEADLK, ECHILD, ENOMEM: as hs_cpipe_load().
 */
int hs_cpipe_loadtcp(const struct sockaddr *target, unsigned int len);

/** hs_cpipe_loadtcp4 - the same, IPv4. Errors: the same. */
int hs_cpipe_loadtcp4(const struct sockaddr_in *target);

/**
 * hs_cpipe_loadfile - add a file
 *
 * A whole checkpoint replaces it, an increment gets its generation behind the name. Both
 * are there as a whole or not at all, and on the disk. After 10000 increments, or when they
 * have as many bytes as the whole one and 64 MiB, a whole one is written. What a killed
 * process has left unfinished under that name is removed. See -r of hs_init(). A relative name is
 * meant as of this call: the program may change its directory afterwards. Errors: ENOENT,
 * ENOSPC, EDEADLK, ECHILD, ENOMEM: as hs_cpipe_load(). EINVAL: no name, or that of something else
 * than a file. EISDIR: that of a directory. Those of open(2) and realpath(3).
 */
int hs_cpipe_loadfile(const char *filename);

/*
 * Checkpoints
 */

/* Return when it is taken, before it is delivered. */
#define HSCPT_ASYNC	(1 << 0)
/* Only what changed since the last one that was delivered, if there is one. */
#define HSCPT_INCR	(1 << 1)

/**
 * hs_cpt - take a checkpoint and deliver it
 * @flags: HSCPT_*
 *
 * What is in it is what was in memory at one instant, the cut, at which no thread is in a
 * section between hs_hold() and hs_release(). Returns when the spare has it, or the disk.
 * With a spare each checkpoint is an increment if it can be one, HSCPT_INCR or not.
 *
 * Errors: EINVAL: unknown flags. ENOENT: there is no pipe. EDEADLK: between hs_hold() and
 * hs_release(), or in a hook. EAGAIN: asynchronous, and as many are under way as there are
 * pipes, or as -n says. ECONNREFUSED, ECONNRESET: cptdevd has ended. ECHILD: this process was forked from the one that takes the checkpoints, see
 * hs_daemon(). With a spare: ESTALE: fenced, a spare has taken over: see hs_rejoin(). EDQUOT:
 * the spare is so far behind that no more checkpoints are kept for it. ENOTCONN: no spare is
 * attached. ETIMEDOUT: the spare doesn't have it after the time of -t; it may get it still.
 * EBADF: the program has closed a descriptor that the library has opened, and no more
 * can be taken. ENOSPC and others of
 * write(2). EFAULT: memory that hs_range() was told isn't mapped any more, hs_error() says where;
 * or what hs_syncreg() was told isn't in memory that is saved. EIO. ENOMEM. Those of descriptors
 * at the cut.
 * After an error the program is as it was, and the spare, or the file, has the checkpoint
 * before, or this one.
 */
int hs_cpt(int flags);

/**
 * hs_cpt_wait - wait for asynchronous checkpoints
 *
 * Errors: EDEADLK: in a hook. ECHILD, EBADF: as hs_cpt(). Why one of them wasn't delivered; as hs_cpt().
 */
int hs_cpt_wait(void);

/** hs_hold - no cut until hs_release(): what is changed in between is changed as a whole
 *
 * Any thread may, and may again in between. There it takes and gives memory of hs_malloc() and
 * sets sections as anywhere; other calls of the library may wait for the cut, which waits for
 * this thread.
 */
void hs_hold(void);

/** hs_release - the other end of hs_hold() */
void hs_release(void);

/*
 * Hooks: functions of the program around the cut, and when it goes on elsewhere.
 */

/** struct hs_hook - what is NULL isn't called */
struct hs_hook {
	void (*before)(void *arg);	/* the cut; the last that was registered is the first */
	void (*after)(void *arg);	/* the cut, taken or not; the first is the first */
	void (*restarted)(void *arg);	/* all is back; the first is the first */
};

/**
 * hs_hook - have functions called with @arg around each cut, and after a restart
 *
 * Around the cut by the thread that calls hs_cpt(), when there is a pipe that it can go to;
 * others go on, and may be between hs_hold() and hs_release(), where nothing may wait for
 * what a hook locks. What @before does is in the checkpoint, @after isn't. There hs_cpt(),
 * hs_cpt_wait(), hs_stop() and hs_cpipe_*() fail with EDEADLK, and no thread that calls one
 * of them may be waited for. After a restart by the process's only thread, before those that
 * are registered begin; there all may be called. Hooks are part of the checkpoint.
 *
 * Errors: EINVAL: all three are NULL. EEXIST: these are registered with that argument.
 * ENOSPC: there are 1024. ENOMEM.
 */
int hs_hook(const struct hs_hook *hook, void *arg);

/** hs_unhook - no longer: all as it was registered. A cut that has begun still calls them.
 * Errors: ENOENT.
 */
int hs_unhook(const struct hs_hook *hook, void *arg);

/*
 * Memory that checkpoints save. Each class is a heap of its own, under a number that the
 * program chooses: what is used together belongs together, so that few pages change. All
 * of it, with its bookkeeping, has the same address in every process.
 */

/**
 * hs_malloc_create - make a class
 * @cls: its number, any
 * @initial: bytes that it begins with; it grows to twice its size whenever it is full, up
 *	to 255 GiB. Costs nothing until it is written to.
 *
 * With HS_MALLOC_DEBUG=1 in the environment the class looks for mistakes, see
 * hs_malloc_check().
 *
 * Errors: EEXIST: there is such a class, or something else is mapped at the place of
 * checkpoint memory. ENOSPC: there are 191 classes. ENOMEM: the system's limits, or @initial is
 * over 255 GiB.
 */
int hs_malloc_create(int cls, size_t initial);

/**
 * hs_malloc - take memory from a class, at a multiple of 16
 *
 * Errors: ENOENT: there is no such class. ENOMEM: no memory, or @size is too much.
 */
void *hs_malloc(int cls, size_t size);

/** hs_calloc - the same for an array of @nr, all zero */
void *hs_calloc(int cls, size_t nr, size_t size);

/**
 * hs_aligned_alloc - the same, at a multiple of @align
 *
 * Errors: besides, EINVAL: @align isn't a power of two, or over 1 GiB.
 */
void *hs_aligned_alloc(int cls, size_t align, size_t size);

/**
 * hs_realloc - change the size, keep the content, maybe at another place
 * @addr: NULL: as hs_malloc()
 *
 * On failure what was there is as it was. Errors: as hs_malloc().
 */
void *hs_realloc(int cls, void *addr, size_t size);

/**
 * hs_free - give it back
 * @addr: NULL: nothing is done
 *
 * What wasn't taken from this class, or was given back already, ends the program with a message:
 * its memory isn't to be trusted any more.
 */
void hs_free(int cls, void *addr);

/**
 * hs_usable_size - bytes that may be used at @addr, at least what was asked for
 *
 * In a class that looks for mistakes: exactly what was asked for. 0 for NULL.
 */
size_t hs_usable_size(void *addr);

/**
 * hs_malloc_check - look for damage in a class
 *
 * Its bookkeeping, and if it was made with HS_MALLOC_DEBUG=1, whether something was written
 * behind an object. Each finding is told on stderr. hs_free() finds the same of one object
 * and ends the program.
 *
 * Returns 0, or -1 with errno: ENOENT: there is no such class. EUCLEAN: there is damage.
 */
int hs_malloc_check(int cls);

/** struct hs_malloc_info - what a class has; bytes */
struct hs_malloc_info {
	uint64_t objects;	/* that are in use */
	uint64_t bytes;		/* in them, as their sizes were rounded */
	uint64_t pages;		/* bytes of the pages that they lie in */
	uint64_t reserved;	/* the class's size */
};

/** hs_malloc_info - fill @info. Errors: ENOENT. EINVAL: no @info. */
int hs_malloc_info(int cls, struct hs_malloc_info *info);

/*
 * Other memory: variables, and what libraries keep. It is at the same place in each process,
 * since that runs the same files without address randomisation.
 */

/**
 * hs_range - save @len bytes at @addr, too
 *
 * They must stay mapped. In a spare that hasn't mapped anything there the library does. What is
 * at another place in another process can't be saved: a variable of the program or of a
 * library can, and private memory that mmap(2) was told the address of, see hs_malloc(3),
 * CAVEATS.
 *
 * Errors: EINVAL: an address or a length that makes no sense; or variables of the C library.
 * EEXIST: it is memory of hs_malloc(). ENOMEM: something in it isn't mapped; or no memory.
 * EACCES: it can't be read and written. EOPNOTSUPP: shared memory, hugetlb, memory of malloc(3),
 * a stack, or whatever else is where the kernel has chosen. hs_error() says which, and where.
 */
int hs_range(void *addr, size_t len);

/**
 * hs_dso - save the variables of a library, or of the program
 * @name: of its file, without directory, as "libsqlite3.so.0"; NULL: the program itself
 *
 * Not with them are what the loader makes read-only and the table of calls into other
 * libraries. Addresses that the loader has put there are those of the spare's own loader
 * after a take-over, unless the program has changed them. Nor are variables of threads.
 *
 * Errors: ENOENT: it isn't loaded. EEXIST: it is saved already. EINVAL: this library is
 * part of it, or it is the C library or the loader. ENOMEM.
 */
int hs_dso(const char *name);

/**
 * hs_exclude - don't save @len bytes at @addr
 *
 * Of memory of hs_malloc(): the pages that lie in it as a whole, which are zero after a
 * restart; of other memory exactly these bytes, which are what they are there.
 *
 * Errors: EINVAL: an address or a length that makes no sense. ENOMEM.
 */
int hs_exclude(void *addr, size_t len);

/*
 * Sections of the application's own in a checkpoint: little things that aren't at an address,
 * or that others shall find in a file (cptdevctl inspect). Each checkpoint has all of them.
 */

/**
 * hs_section_set - have a copy of @len bytes at @data in checkpoints from now on
 * @name: 1 to 47 characters of ASCII, without blanks; one of that name is replaced
 * @len: up to 1 MiB; 0: the one of that name is removed, and @data doesn't matter
 *
 * In a section between hs_hold() and hs_release() what is set is of the same checkpoint as
 * what is done to memory there.
 *
 * Errors: EINVAL: the name, or no @data. EMSGSIZE: it is over 1 MiB. ENOENT: there is none to
 * remove. ENOSPC: there are 256. ENOMEM.
 */
int hs_section_set(const char *name, const void *data, size_t len);

/**
 * hs_section_get - read one, also after a restart
 *
 * Returns its length, and up to @size bytes of it in @buf. Errors: ENOENT: there is none.
 * EINVAL: no name, or no @buf.
 */
ssize_t hs_section_get(const char *name, void *buf, size_t size);

/*
 * Descriptors that come back under their numbers. What changes is read at the cut: it
 * belongs to the same generation as the memory.
 */

/**
 * hs_fdreg - whatever it is
 * @fd: a file or character device; a socket: UDP, Unix datagrams, or one that listens, in
 *	IPv4, IPv6 or Unix; both ends of a pipe, each registered; eventfd, timerfd, signalfd;
 *	an epoll set, with what is in it, each of which is registered
 *
 * What is made from the same open file, by dup(2), will be again. Options, groups and filters of
 * sockets, locks, leases, and who gets signals are as they were at the cut; what the kernel
 * can't be asked for is listed in hs_fdreg(3). If something at the cut can't be saved hs_cpt()
 * fails, and hs_error() names it: EBUSY, EOPNOTSUPP, ENOTCONN, ENOENT.
 *
 * A restart opens a file by its name. At the cut the library follows a file that was renamed;
 * if it was deleted, or another one has its name, hs_cpt() fails with ENOENT. At the restart
 * the name must lead to something of the same type (EPROTOTYPE) that can be opened; if that is
 * another file, has another size or was written to, the library prints what is different,
 * and keeps the offset.
 *
 * Errors: EBADF: it isn't open. EEXIST: it is registered. EISCONN: a connection, which
 * can't be saved. ENOTCONN: it doesn't listen yet. ENOENT: a file that was deleted, or whose
 * name is another one's. ENOTSUP: an eventfd on a kernel before 6.5, see hs_fdreg_eventfd().
 * EOPNOTSUPP, EPROTONOSUPPORT: another kind of thing, or a file of /proc that is of a process.
 * ENOMEM.
 */
int hs_fdreg(int fd);

/** hs_fdreg_filefd - a file, by the name that it will have. What has that name at the restart
 * is opened: which file it is when it is registered or at the cut doesn't matter. Errors: besides,
 * EPROTOTYPE: it is no file, or that is the name of none, EINVAL: no name, and those of
 * realpath(3).
 */
int hs_fdreg_filefd(int fd, const char *path);

/* The own address is bound again. */
#define HSFD_UDP4_GETNAME	(1 << 0)
/* It is connected again, if it was. */
#define HSFD_UDP4_GETPEER	(1 << 1)
/* Both are asked for at each cut, and not only now. */
#define HSFD_UDP4_CPTREFRESH	(1 << 2)

/** hs_fdreg_sockudp4 - a datagram socket, IPv6 and Unix as well
 * @flags: HSFD_UDP4_*
 *
 * Errors: besides, EPROTOTYPE: it is none, EINVAL: unknown flags.
 */
int hs_fdreg_sockudp4(int s, int flags);

/** hs_fdreg_socktcp4_listen - a socket that listens, IPv6 and Unix as well. Errors:
 * besides, EPROTOTYPE: it is no stream.
 */
int hs_fdreg_socktcp4_listen(int s);

/** hs_fdreg_pair - both ends of socketpair(2). What waits in a stream comes back; a
 * message that waits keeps the checkpoint from being taken. That it is one pair the kernel
 * doesn't tell. Errors: besides, EPROTOTYPE, ENOTCONN: they aren't.
 */
int hs_fdreg_pair(int a, int b);

/** hs_fdreg_eventfd - as it was made
 * @flags: those of eventfd(2), of which EFD_SEMAPHORE matters
 *
 * Errors: besides, EPROTOTYPE: it is none, EINVAL: unknown flags.
 */
int hs_fdreg_eventfd(int fd, int flags);

/** hs_fd_deregister - no longer; it stays open. Errors: ENOENT: it isn't registered. */
int hs_fd_deregister(int fd);

/*
 * Signals that are treated after a restart as they were at the cut. The mask of the thread
 * that takes the checkpoint comes back in any case.
 */

/** hs_sigreg - keep the action of a signal
 *
 * Errors: EINVAL: no signal that can have one. EEXIST: it is registered.
 */
int hs_sigreg(int signum);

/** hs_sigdereg - no longer. Errors: EINVAL, ENOENT: it isn't registered. */
int hs_sigdereg(int signum);

/*
 * Threads. After a restart each that is registered begins anew: its function is called
 * with its argument, which finds in checkpoint memory how far it was. A stack isn't saved.
 */

/** struct hs_thread_attr - how a thread is made; zeros are what pthread_create(3) does */
struct hs_thread_attr {
	char name[16];		/* as pthread_setname_np(3) has it, or empty */
	size_t stack_size;	/* bytes */
	int policy;		/* SCHED_OTHER ... */
	int priority;		/* for policies that have one */
};

/**
 * hs_threadreg - a function that is called after a restart
 *
 * When there is only one, it is called in the process's only thread, else each in a thread
 * of its own; none begins before all are made. When all have returned, the program ends.
 *
 * Errors: EINVAL: no function. EEXIST: it is registered with that argument. ENOSPC: there
 * are 65536. ENOMEM.
 */
int hs_threadreg(void (*worker)(void *arg), void *arg);

/** hs_threadreg_attr - the same, with attributes. Errors: besides, EINVAL: they are none. */
int hs_threadreg_attr(void (*worker)(void *arg), void *arg, const struct hs_thread_attr *attr);

/**
 * hs_run - begin as a spare does that takes over
 *
 * Calls the threads that are registered, and returns when all have returned: the master then
 * runs the same way as its spare will. Errors: ENOENT: none is registered. ENOMEM, EAGAIN and
 * others of pthread_create(3): none has begun, hs_error() says why.
 */
int hs_run(void);

/** hs_threaddereg - no longer: both as they were registered. Errors: ENOENT. */
int hs_threaddereg(void (*worker)(void *arg), void *arg);

/*
 * Mutexes, condition variables and the like in memory that is saved. Inside they count threads
 * that hold them or wait for them, which a restart doesn't have. Those that are registered are
 * for the threads that begin anew; a thread that meets another one may wait for ever.
 */

#define HSSYNC_MUTEX	0	/* pthread_mutex_t of any type; mtx_t */
#define HSSYNC_COND	1	/* pthread_cond_t; cnd_t */
#define HSSYNC_RWLOCK	2	/* pthread_rwlock_t */
#define HSSYNC_BARRIER	3	/* pthread_barrier_t */
#define HSSYNC_SEM	4	/* sem_t of sem_init(3) */
#define HSSYNC_ONCE	5	/* pthread_once_t; once_flag */
#define HSSYNC_SPIN	6	/* pthread_spinlock_t */

/**
 * hs_syncreg - have one made anew at each restart
 * @kind: HSSYNC_*
 * @object: initialised; nobody holds it or waits for it
 *
 * After a restart it is what it is now: nobody holds it, nobody waits. But the value of a
 * semaphore is the one of the cut; a once-control that was done stays done. If a mutex or a
 * read-write lock was held at the cut, which between hs_hold() and hs_release() can't be, what it
 * protects may be half done: a robust mutex tells that to the first that locks it,
 * of the others the library says so on stderr.
 *
 * Errors: EINVAL: an unknown kind, or no object. EEXIST: it is registered. EBUSY: it is held.
 * ENOSPC: there are 65536. ENOMEM.
 */
int hs_syncreg(int kind, void *object);

/** hs_syncdereg - no longer: before it is destroyed, or its memory freed. Errors: ENOENT: it isn't
 * registered.
 */
int hs_syncdereg(void *object);

/*
 * Time. CLOCK_MONOTONIC and CLOCK_BOOTTIME are each host's own: a time in memory that is saved may
 * be days ahead on another host. From the cut to the restart no time passes, as for timers.
 */

struct timespec;

/**
 * hs_clock - the time of a clock that goes on after a restart where it was at the cut
 * @clock: CLOCK_MONOTONIC or CLOCK_BOOTTIME
 *
 * Before the first restart it is what clock_gettime(2) says. Errors: EINVAL: another clock, or
 * no @now.
 */
int hs_clock(int clock, struct timespec *now);

/**
 * hs_clock_host - make a time of hs_clock() one of this host's clock, to wait for it
 * @time: changed, for instance for pthread_cond_clockwait(3) or clock_nanosleep(2)
 *
 * The result isn't for memory that is saved. Errors: EINVAL: as hs_clock().
 */
int hs_clock_host(int clock, struct timespec *time);

/**
 * hs_clock_moved - what the last restart adds to times of clock_gettime(2)
 *
 * For programs that keep those and not times of hs_clock(): a hook (restarted) adds it to each.
 * Nanoseconds, may be negative; 0 before the first restart, and for other clocks.
 */
int64_t hs_clock_moved(int clock);

#ifdef __cplusplus
}
#endif

#endif /* HOTSPARE_H */
