/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhotspare: a program whose memory survives the loss of its host.
 *
 * Calls return 0 or a pointer. On failure they return -1 or NULL, and errno has the reason. Any
 * thread may make these calls. The calls of A. Kantee, "Using application-driven checkpointing
 * logic on Hot Spare High Availability", appendix A, have the same meaning as there; the others
 * are additions. The manual pages, from hs_init(3) on, have the details.
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
 * hs_init - become master or spare, according to the arguments
 * @argc, @argv: those of main(). Call hs_init() before anything else: it restarts the program
 *	without address randomisation. The options of the library come first, and end with "--":
 *	-m (--master): be the master.
 *	-s (--spare): be the spare.
 *	-a (--address) ADDRESS of the other host.
 *	-S (--session) NAME: the host's cptdevd sends the checkpoints to the other host. Without
 *	this option, and with -a or -s, the process starts a private cptdevd (its path may be in
 *	the environment, CPTDEVD), which ends with the process.
 *	-k (--key) FILE: with -a or -s, the key for the link to the other host.
 *	-p (--port) PORT (7411).
 *	-n (--pipes) N asynchronous checkpoints may be under way at a time (1).
 *	-t (--timeout) SECONDS (5): the other host counts as lost when it isn't heard for this time.
 *	-f (--file) FILE for checkpoints.
 *	-r (--restart) FILE with the checkpoint to continue from.
 *	-g (--generation) N: with -r, the generation to continue from.
 *	-l (--lazy): with -r, continue before all of the memory is read: see hs_restart_wait().
 *	-c (--check): with -r, report what would break if the program continued, and exit with 0,
 *	or with 1 if there are findings.
 *	-b (--backend) module, portable, compare or auto: see hs_backend(). The default is
 *	HOTSPARE_BACKEND in the environment, or auto.
 *	-u (--touched) auto, no, or MILLISECONDS: whether, and for how long, the pages that are accessed
 *	after a checkpoint are noted for -l: see hs_restart_wait(3).
 *	-w (--watchdog) SECONDS: a program with a spare hangs if it calls neither hs_cpt() nor
 *	hs_may_serve() for this time. cptdevd learns of this (on_hang in cptdevd.conf(5)); with -a
 *	the spare takes over.
 *	-x (--command) COMMAND that moves the service's address.
 *
 * In a spare, the call doesn't return: when the master has failed, the threads that are
 * registered in its last checkpoint run, and when they have returned, the process ends with
 * status 0. The same is true of a master with -r. If the master has called hs_stop() after a
 * checkpoint, its spare ends with status 0, but not with -S. A master with -S first asks cptdevd;
 * if its state is on the other host, the program becomes the spare.
 *
 * Returns the number of arguments that were used: add it to @argv and subtract it from @argc;
 * then "--" is in the place of the program's name. On failure the library prints a message on
 * stderr, and the call returns -1. Errors: EINVAL: the arguments are invalid. EACCES: -a is the
 * address of another host, and there is no usable key. EBUSY: cptdevd doesn't let the program
 * begin with empty memory, and a person has to decide. EEXIST: another program on this host has
 * the name of the session. EFBIG: the size of files is limited. EPERM: address randomisation
 * can't be switched off. ECHILD, ETIMEDOUT: the command of a master failed, or took too long.
 * ENOENT: there is no cptdevd, or no such file. ECONNREFUSED, ETIMEDOUT: the private cptdevd
 * ended at once, or doesn't accept programs. ECONNRESET: the private cptdevd of a spare has
 * ended. EADDRINUSE and other errors of socket calls. ENODATA: the function of hs_det_reg()
 * reports that the master is dead, and the spare has nothing to continue from; or a file is
 * incomplete. EBADMSG, ENOEXEC: a checkpoint is damaged, or is of another program.
 * EPROTONOSUPPORT: a checkpoint has another version of the format. ESTALE: the checkpoint to
 * which an increment belongs is missing, or there is no generation N. EISDIR: a file is a
 * directory. The errors of open(2).
 */
int hs_init(int argc, char *argv[]);

/**
 * hs_may_serve - check whether clients may be answered now
 *
 * For programs with a spare (-S or -a of hs_init(), hs_cpipe_loadtcp()). Call it immediately before
 * each answer is sent, also for requests that only read. If the module has leases, the call needs
 * no system call, except for the signs of life that some calls give with -w.
 *
 * Returns 1 if the program may answer. Returns 0 if it may not answer at this moment: no spare was
 * heard for the time of the lease, so that a spare may have taken over, or a person has to decide;
 * keep the answer, and call again. Returns -1, with errno ESTALE, if a spare has taken over: call
 * hs_rejoin(). In other programs the call always returns 1.
 */
int hs_may_serve(void);

/**
 * hs_wanted - check whether the spare needs a checkpoint
 *
 * For an idle program with a spare. A spare may be there that lacks the program's state, while no
 * client causes a checkpoint. Until the program takes one, "cptdevctl status" says that it isn't
 * protected. If the module has no leases, the call always returns 0.
 *
 * Returns 1 if the spare needs a checkpoint: call hs_cpt() soon. Otherwise returns 0. The call also
 * returns 1 when a person moves the program to the spare's host ("cptdevctl switchover"): once
 * while the program serves, and once when it is stopped and hs_may_serve() returns 0. If cptdevd
 * holds output of the program's service ([hold] in cptdevd.conf(5)), the call also returns 1 while
 * output waits and no checkpoint is under way. Without the module, the call also returns 1, at most ten
 * times a second, while the program's cptdevd is gone: the checkpoint looks for the next one.
 */
int hs_wanted(void);

/**
 * hs_rejoin - become the spare of the program that took over
 *
 * For a program with a spare (-S or -a of hs_init()), after hs_cpt() failed with ESTALE or
 * hs_may_serve() returned -1. The process restarts its program by execve(2), with the original
 * arguments, as the spare. Descriptors except 0, 1 and 2 are closed, and the memory is lost. The
 * library keeps a checkpoint of the memory in a memory file until the program that took over has
 * sent everything, and prints the name of this file on stderr.
 *
 * Returns only on failure. Errors: EINVAL: the program was started without a spare. ECHILD: the
 * process is a child of the process that takes the checkpoints. ENOMEM, and the errors of
 * execve(2).
 */
int hs_rejoin(void);

/**
 * hs_restart_missing - the memory that a lazy restart still has to read
 *
 * After a restart with -l of hs_init(), the program runs while the library reads the memory of
 * hs_malloc() from the files. Memory that the program accesses is read at once.
 *
 * Returns bytes; 0 if everything is in place, and in every other program.
 */
uint64_t hs_restart_missing(void);

/**
 * hs_restart_wait - wait until a lazy restart has read all of the memory
 *
 * Until then the program can still end: if a file can't be read any more, or is damaged, the
 * process ends with status 74. A program that must not promise anything before that calls
 * hs_restart_wait() first. hs_cpt() and fork(2) wait by themselves; hs_cpt() with HSCPT_ASYNC doesn't
 * wait but fails. In every other program the call returns at once.
 */
void hs_restart_wait(void);

/**
 * hs_stop - report that the program is about to end, and that its spare shall end too
 *
 * Waits for checkpoints that are under way, and returns as hs_cpt_wait() does. Errors: EDEADLK: in
 * a hook.
 */
int hs_stop(void);

/**
 * hs_daemon - daemon(3) for a program that takes checkpoints
 * @nochdir: 0: change the directory to /
 * @noclose: 0: set standard input, output and error to /dev/null
 *
 * Call it between hs_init() and the creation of the first thread. Only the calling thread
 * continues, in a new process, which takes the checkpoints from then on. The spare doesn't notice
 * the change. It can take over from the new process after the next checkpoint, which is a whole
 * one. After daemon(3) or fork(2), by contrast, the child can't take checkpoints: hs_cpt() fails
 * there with ECHILD, and the spare takes over when the parent ends.
 *
 * Errors: ECHILD: this process is such a child. EDEADLK: in a hook, or between hs_hold() and
 * hs_release(). The errors of fork(2), setsid(2), chdir(2) and open(2).
 */
int hs_daemon(int nochdir, int noclose);

/**
 * hs_backend - the name of the method by which checkpoints are taken
 *
 * "module": the cptdev module, by a snapshot of the saved memory. "portable": the library alone, by
 * a fork. In this case the kernel may report which pages were written (PAGEMAP_SCAN or soft-dirty
 * bits), so that the library compares only these pages; with -b compare it compares all pages.
 * hs_init() selects the method, see its option -b. The method may later become "portable", if the
 * module can't track memory that is saved.
 */
const char *hs_backend(void);

/**
 * hs_check - report what would break if a spare took over now
 *
 * Takes a whole checkpoint, hooks included, and restores it in a new process of the same program,
 * which doesn't get beyond hs_init(): it binds, opens and runs nothing. Each finding is one line on
 * standard error. Findings are:
 * - no thread is registered;
 * - code is missing at the address of a function;
 * - memory is damaged, or its addresses are used for something else;
 * - a value looks like a pointer to memory that isn't saved, or like a lock that a thread holds (it
 *   may be a number; on the other hand, the check doesn't find everything that would break);
 * - a file is missing or has changed;
 * - a descriptor isn't registered, unless it was open when the program was started.
 * A connection is printed as a note, and doesn't count. The call costs as much as a checkpoint and
 * a restart. Option -c of hs_init() does the same for a file, as far as possible there.
 *
 * Returns the number of findings, or -1. Errors: EDEADLK: in a hook, or between hs_hold() and
 * hs_release(). ECHILD: as hs_cpt(); or the new process ended too early, because main() doesn't
 * begin with hs_init(). ENOMEM, EAGAIN.
 */
int hs_check(void);

/** struct hs_stats - counts and times of this process; times in nanoseconds */
struct hs_stats {
	uint64_t checkpoints;		/* delivered checkpoints */
	uint64_t failed;		/* checkpoints that were taken and not delivered */
	uint64_t cuts;
	uint64_t pause_ns;		/* how long the last cut stopped the program */
	uint64_t pause_max_ns;
	uint64_t pause_sum_ns;
};

/** hs_stats - get the number and the cost of the checkpoints so far */
void hs_stats(struct hs_stats *to);

/**
 * hs_error - the reason, as text, why this thread's last call of hs_cpt(), hs_cpt_wait(),
 * hs_check(), hs_daemon(), hs_range() or hs_run() failed
 */
const char *hs_error(void);

/*
 * Detecting that the master has failed. cptdevd(8) decides: at once if the program has ended; if
 * the host of the master isn't heard any more, after the timeout (see hs_init()) and the end of
 * the last lease.
 */

/**
 * hs_det_reg - let a function decide that the master has failed
 * @detfunc: the function. It returns 0 if the master is alive, and another number if the master is
 *	dead. It is called repeatedly with @funcarg, in a thread of its own, and may take its time.
 *
 * Call it before hs_init(). A spare with -S doesn't call the function: the configuration of the
 * host's cptdevd decides there.
 */
void hs_det_reg(int (*detfunc)(void *), void *funcarg);

/** hs_det_ping4 - dead if the master answers none of three pings in a row; @funcarg: its address */
int hs_det_ping4(void *funcarg);

/** hs_det_ping6 - as hs_det_ping4(), IPv6 */
int hs_det_ping6(void *funcarg);

/**
 * hs_det_daemon - dead if the host's cptdevd(8) considers its peer dead
 * @funcarg: path of the daemon's control socket; NULL: the usual path
 *
 * For a function of the program that combines this answer with others. If hs_det_reg() gets
 * hs_det_daemon(), the effect is as if no function was registered.
 */
int hs_det_daemon(void *funcarg);

/** hs_det_file - dead as soon as the file with the name in @funcarg exists; removes the file */
int hs_det_file(void *funcarg);

/*
 * The destination of checkpoints. With the option -f, hs_init() makes the pool and the pipes.
 * With -a or -S no pool is needed.
 */

/** hs_cpipe_init - make a pool for @ncon pipes, 1 to 64
 *
 * Errors: EINVAL: another number. EEXIST: the program has a pool already. EDEADLK: in a hook.
 * ECHILD: this process was forked from the process that takes the checkpoints. ENOMEM.
 */
int hs_cpipe_init(int ncon);

/**
 * hs_cpipe_load - add a descriptor, to which whole checkpoints are written
 *
 * A checkpoint is delivered when all of it is written. Errors: EBADF: @fd isn't open, or not open
 * for writing. ENOENT: there is no pool. ENOSPC: the pool is full. EDEADLK: in a hook. ECHILD:
 * this process was forked from the process that takes the checkpoints. ENOMEM.
 */
int hs_cpipe_load(int fd);

struct sockaddr;
struct sockaddr_in;

/**
 * hs_cpipe_loadtcp - give the program a spare, as option -a of hs_init(); the spare may start later
 * @target: IPv4 or IPv6 address, and the port
 *
 * Each further call with the same @target permits one more asynchronous checkpoint under way.
 * Errors: EOPNOTSUPP: the program has another spare. ENOENT, ECONNREFUSED, ETIMEDOUT: the private
 * cptdevd can't be started, as hs_init(). EAFNOSUPPORT: another kind of address. EINVAL: @target
 * is NULL, or @len is wrong. ENOENT, ENOSPC, EDEADLK, ECHILD, ENOMEM: as hs_cpipe_load().
 */
int hs_cpipe_loadtcp(const struct sockaddr *target, unsigned int len);

/** hs_cpipe_loadtcp4 - as hs_cpipe_loadtcp(), IPv4. Errors: the same. */
int hs_cpipe_loadtcp4(const struct sockaddr_in *target);

/**
 * hs_cpipe_loadfile - add a file
 *
 * A whole checkpoint replaces the file. An increment is written to another file, whose name has
 * the generation appended. Each file is complete or absent, and a checkpoint is delivered when it
 * is on the disk. After 10000 increments, or when the increments have at least as many bytes as
 * the whole checkpoint and at least 64 MiB, the next checkpoint is a whole one. The call removes
 * unfinished files of this name that a killed process has left. See -r of hs_init(). A relative
 * name is resolved once, by this call: the program may change its directory afterwards. Errors:
 * ENOENT, ENOSPC, EDEADLK, ECHILD, ENOMEM: as hs_cpipe_load(). EINVAL: the name is empty, or
 * isn't that of a file. EISDIR: it is the name of a directory. The errors of open(2) and
 * realpath(3).
 */
int hs_cpipe_loadfile(const char *filename);

/*
 * Checkpoints
 */

/* Return when the checkpoint is taken, before it is delivered. */
#define HSCPT_ASYNC	(1 << 0)
/* Take only the changes since the last delivered checkpoint, if there is one. */
#define HSCPT_INCR	(1 << 1)

/**
 * hs_cpt - take a checkpoint and deliver it
 * @flags: HSCPT_*
 *
 * A checkpoint contains the memory as it is at one instant, the cut. No thread is between hs_hold()
 * and hs_release() at the cut. The call returns when the spare has the checkpoint, or when it is on
 * the disk. A checkpoint for a spare is an increment whenever possible, with or without HSCPT_INCR.
 *
 * Errors: EINVAL: unknown flags. ENOENT: there is no pipe. EDEADLK: between hs_hold() and
 * hs_release(), or in a hook. EAGAIN: with HSCPT_ASYNC, as many checkpoints are under way as there
 * are pipes, or as -n permits; or a lazy restart hasn't read all of the memory yet. ECONNREFUSED,
 * ECONNRESET: cptdevd has ended. ECHILD: this process was forked from the process that takes the
 * checkpoints, see hs_daemon(). EBADF: the program has closed a descriptor that the library opened,
 * and no further checkpoint can be taken. ENOSPC and other errors of write(2). EFAULT: memory that
 * was registered with hs_range() isn't mapped any more, hs_error() gives the address; or an object
 * that was registered with hs_syncreg() isn't in saved memory. EIO. ENOMEM. The errors of
 * descriptors at the cut, see hs_fdreg(). With a spare: ESTALE: fenced, a spare has taken over, see
 * hs_rejoin(). EDQUOT: the spare is far behind, and no more checkpoints are kept for it. ENOTCONN:
 * no spare is attached. ETIMEDOUT: the spare doesn't have the checkpoint after the time of -t, and
 * may still receive it.
 *
 * After an error the program is unchanged, and the spare, or the file, has either the previous
 * checkpoint or this one.
 */
int hs_cpt(int flags);

/**
 * hs_cpt_wait - wait for asynchronous checkpoints
 *
 * Errors: EDEADLK: in a hook. ECHILD, EBADF: as hs_cpt(). If one of the checkpoints wasn't
 * delivered, its error, as of hs_cpt().
 */
int hs_cpt_wait(void);

/** hs_hold - prevent a cut until hs_release(): a checkpoint has all changes in between, or none
 *
 * Any thread may make this call, and calls may be nested. In between, a thread may allocate and
 * free memory of hs_malloc() and set sections. Other calls of the library may wait for the cut,
 * and the cut waits for this thread.
 */
void hs_hold(void);

/** hs_release - end the section that hs_hold() began */
void hs_release(void);

/*
 * Hooks: functions of the program that the library calls around the cut, and after a restart.
 */

/** struct hs_hook - functions of a hook; a function that is NULL isn't called */
struct hs_hook {
	void (*before)(void *arg);	/* before the cut; last registered, first called */
	void (*after)(void *arg);	/* after the cut, taken or not; in order of registration */
	void (*restarted)(void *arg);	/* after a restart; in order of registration */
};

/**
 * hs_hook - have functions called with @arg around each cut, and after a restart
 *
 * The functions before and after are called in the thread that calls hs_cpt(), and only if the
 * checkpoint can be delivered somewhere. Other threads continue meanwhile, and may be between
 * hs_hold() and hs_release(). So no thread may wait there for a lock that a hook takes. Changes by
 * the function before are in the checkpoint, changes by the function after aren't. In both of
 * them hs_cpt(), hs_cpt_wait(), hs_stop() and hs_cpipe_*() fail with EDEADLK, and they must not
 * wait for a thread that makes one of these calls. The function restarted is called in the
 * only thread of the process, before the registered threads begin, and may make any call. Hooks are
 * part of the checkpoint.
 *
 * Errors: EINVAL: all three functions are NULL. EEXIST: the functions are registered with this @arg
 * already. ENOSPC: there are 1024 hooks. ENOMEM.
 */
int hs_hook(const struct hs_hook *hook, void *arg);

/** hs_unhook - remove a hook: the same functions and @arg as registered
 *
 * A cut that has begun still calls the functions. Errors: ENOENT: the hook isn't registered.
 */
int hs_unhook(const struct hs_hook *hook, void *arg);

/*
 * Memory that checkpoints save. Each class is a heap of its own, with a number that the program
 * chooses. Put memory that is used together into one class: then few pages change between two
 * checkpoints. All memory of the classes, and its bookkeeping, has the same address in every
 * process.
 */

/**
 * hs_malloc_create - make a class
 * @cls: number of the class, any number
 * @initial: bytes of the class at first. It grows to twice its size whenever it is full, up to
 *	255 GiB. Memory that was never written costs nothing.
 *
 * With HS_MALLOC_DEBUG=1 in the environment the class finds more mistakes, see hs_malloc_check().
 *
 * Errors: EEXIST: the class exists already, or other memory is mapped at the addresses of
 * checkpoint memory. ENOSPC: there are 191 classes. ENOMEM: the system allows no more, or
 * @initial is over 255 GiB.
 */
int hs_malloc_create(int cls, size_t initial);

/**
 * hs_malloc - allocate memory from a class; the address is a multiple of 16
 *
 * Errors: ENOENT: there is no such class. ENOMEM: there is no memory, or @size is too large.
 */
void *hs_malloc(int cls, size_t size);

/** hs_calloc - as hs_malloc(), for an array of @nr elements of @size bytes, all zero */
void *hs_calloc(int cls, size_t nr, size_t size);

/**
 * hs_aligned_alloc - as hs_malloc(); the address is a multiple of @align
 *
 * Errors: as hs_malloc(), and EINVAL: @align isn't a power of two, or is over 1 GiB.
 */
void *hs_aligned_alloc(int cls, size_t align, size_t size);

/**
 * hs_realloc - change the size of an object; its content stays, its address may change
 * @addr: NULL: as hs_malloc()
 *
 * On failure the object is unchanged. Errors: as hs_malloc().
 */
void *hs_realloc(int cls, void *addr, size_t size);

/**
 * hs_free - free an object
 * @addr: NULL: nothing is done
 *
 * If @addr was not allocated from this class, or was freed already, the library prints a message
 * and ends the program, because its memory can't be trusted any more.
 */
void hs_free(int cls, void *addr);

/**
 * hs_usable_size - the number of bytes that may be used at @addr, at least the requested size
 *
 * In a class with HS_MALLOC_DEBUG=1, exactly the requested size. 0 for NULL.
 */
size_t hs_usable_size(void *addr);

/**
 * hs_malloc_check - look for damage in a class
 *
 * Checks the bookkeeping of the class. If the class was made with HS_MALLOC_DEBUG=1, the call also
 * checks whether the program wrote beyond the end of an object. Each finding is printed on stderr.
 * hs_free() makes the same check for one object, and ends the program.
 *
 * Returns 0, or -1 with errno: ENOENT: there is no such class. EUCLEAN: the class is damaged.
 */
int hs_malloc_check(int cls);

/** struct hs_malloc_info - the contents of a class; in bytes, except @objects */
struct hs_malloc_info {
	uint64_t objects;	/* objects in use */
	uint64_t bytes;		/* in these objects, with their sizes rounded up */
	uint64_t pages;		/* in the pages that contain these objects */
	uint64_t reserved;	/* size of the class */
};

/** hs_malloc_info - fill @info. Errors: ENOENT: there is no such class. EINVAL: @info is NULL. */
int hs_malloc_info(int cls, struct hs_malloc_info *info);

/*
 * Other memory: variables of the program and of libraries. Every process runs the same files
 * without address randomisation, so this memory has the same address in each.
 */

/**
 * hs_range - also save @len bytes at @addr
 *
 * The bytes must stay mapped. If nothing is mapped at the address in a spare, the library maps
 * memory there. Only memory that is at the same address in every process can be saved: a variable
 * of the program or of a library, and private memory for which the program chose the address in
 * mmap(2), see hs_malloc(3), CAVEATS.
 *
 * Errors: EINVAL: the address or the length is invalid, or the memory contains variables of the C
 * library. EEXIST: this is memory of hs_malloc(). ENOMEM: a part of the memory isn't mapped, or
 * there is no memory. EACCES: the memory can't be read and written. EOPNOTSUPP: the memory is
 * shared, or of hugetlb, or of malloc(3), or a stack, or other memory whose address the kernel
 * chose. hs_error() returns the kind of memory and the address.
 */
int hs_range(void *addr, size_t len);

/**
 * hs_dso - save the variables of a library, or of the program
 * @name: name of the library's file, without directory, for example "libsqlite3.so.0"; NULL: the
 *	program itself
 *
 * Three kinds of data aren't saved: data that the loader makes read-only, the table of calls into
 * other libraries, and variables of threads. If a variable contains an address that the loader
 * stored, a take-over keeps the address that the spare's own loader stored, unless the program
 * has changed the variable.
 *
 * Errors: ENOENT: the library isn't loaded. EEXIST: the library is saved already. EINVAL: the
 * object contains this library, or is the C library or the loader. ENOMEM.
 */
int hs_dso(const char *name);

/**
 * hs_exclude - don't save @len bytes at @addr
 *
 * In memory of hs_malloc(), the call excludes the pages that are completely within these bytes;
 * these pages are zero after a restart. In other memory it excludes exactly these bytes; they
 * keep the value that they have in the process that continues.
 *
 * Errors: EINVAL: the address or the length is invalid. ENOMEM.
 */
int hs_exclude(void *addr, size_t len);

/*
 * Sections of the program in a checkpoint: small data that isn't at an address, or that others
 * shall find in a file (cptdevctl inspect). Each checkpoint contains all sections.
 */

/**
 * hs_section_set - put a copy of @len bytes at @data into each checkpoint from now on
 * @name: 1 to 47 characters of ASCII, without blanks. The call replaces a section of this name.
 * @len: up to 1 MiB; 0: remove the section of this name, and ignore @data
 *
 * Between hs_hold() and hs_release(), changes of sections and changes of memory are in the same
 * checkpoint.
 *
 * Errors: EINVAL: the name is invalid, or @data is NULL. EMSGSIZE: @len is over 1 MiB. ENOENT:
 * there is no section to remove. ENOSPC: there are 256 sections. ENOMEM.
 */
int hs_section_set(const char *name, const void *data, size_t len);

/**
 * hs_section_get - read a section, also after a restart
 *
 * Returns the length of the section, and up to @size bytes of it in @buf. Errors: ENOENT: there
 * is no such section. EINVAL: @name or @buf is NULL.
 */
ssize_t hs_section_get(const char *name, void *buf, size_t size);

/*
 * Descriptors that have the same numbers after a restart. State that changes is read at the cut,
 * so it belongs to the same generation as the memory.
 */

/**
 * hs_fdreg - register a descriptor of any supported kind
 * @fd: a file or a character device; a socket in IPv4, IPv6 or Unix: UDP, Unix datagrams, a socket
 *	that listens, or an established TCP connection, which takes CAP_NET_ADMIN; a pipe with both
 *	ends registered; an eventfd, timerfd or signalfd; an epoll set with all members registered
 *
 * Descriptors that share an open file, by dup(2), share one again. Options, groups and filters of
 * sockets, locks, leases, and the receivers of signals are as they were at the cut. hs_fdreg(3)
 * lists the state that the kernel doesn't report. If something can't be saved at the cut,
 * hs_cpt() fails with EBUSY, EOPNOTSUPP, ENOTCONN or ENOENT, and hs_error() names it.
 *
 * A restart opens a file by its name. At the cut the library follows a file that was renamed. If
 * the file was deleted, or another file has its name, hs_cpt() fails with ENOENT. At the restart
 * the name must lead to something of the same type (EPROTOTYPE) that can be opened. If it is
 * another file, has another size or was written to, the library prints the difference, and keeps
 * the offset.
 *
 * A connection continues in the state of the cut, with the bytes in both queues; hs_fdreg(3) says
 * what its program and its host have to do for that.
 *
 * Errors: EBADF: @fd isn't open. EEXIST: @fd is registered already. EISCONN: @fd is a connection
 * that can't be saved, of a Unix socket. EPERM: @fd is a TCP connection, and the program doesn't
 * have CAP_NET_ADMIN. ENOTCONN: the socket doesn't listen yet. ENOENT: the file was deleted, or
 * its name belongs to another file. ENOTSUP: an eventfd on a kernel before 6.5, see
 * hs_fdreg_eventfd(). EOPNOTSUPP, EPROTONOSUPPORT: another kind of object, or a file of a process
 * in /proc. ENOMEM.
 */
int hs_fdreg(int fd);

/** hs_fdreg_filefd - register a file, to be opened by the name @path after a restart
 *
 * The restart opens any file that has this name then, even if the name belongs to another file
 * now or at the cut. Errors: as hs_fdreg(), and EPROTOTYPE: @fd isn't a file, or @path isn't the
 * name of one. EINVAL: @path is NULL or empty. The errors of realpath(3).
 */
int hs_fdreg_filefd(int fd, const char *path);

/* Bind the socket to its address again. */
#define HSFD_UDP4_GETNAME	(1 << 0)
/* Connect the socket again, if it was connected. */
#define HSFD_UDP4_GETPEER	(1 << 1)
/* Read both addresses at each cut, and not only now. */
#define HSFD_UDP4_CPTREFRESH	(1 << 2)

/** hs_fdreg_sockudp4 - register a datagram socket, also of IPv6 and Unix
 * @flags: HSFD_UDP4_*
 *
 * Errors: as hs_fdreg(), and EPROTOTYPE: @s isn't a datagram socket. EINVAL: unknown flags.
 */
int hs_fdreg_sockudp4(int s, int flags);

/** hs_fdreg_socktcp4_listen - register a stream socket that listens, also of IPv6 and Unix
 *
 * Errors: as hs_fdreg(), and EPROTOTYPE: @s isn't a stream socket.
 */
int hs_fdreg_socktcp4_listen(int s);

/** hs_fdreg_pair - register both ends of socketpair(2)
 *
 * Data that waits in a stream is saved. While a message waits in a pair of another type, no
 * checkpoint can be taken. The kernel doesn't report whether the two descriptors belong to the
 * same pair. Errors: as hs_fdreg(), and EPROTOTYPE, ENOTCONN: the descriptors aren't a pair.
 */
int hs_fdreg_pair(int a, int b);

/** hs_fdreg_eventfd - register an eventfd, with the flags with which it was made
 * @flags: those of eventfd(2); only EFD_SEMAPHORE matters
 *
 * Errors: as hs_fdreg(), and EPROTOTYPE: @fd isn't an eventfd. EINVAL: unknown flags.
 */
int hs_fdreg_eventfd(int fd, int flags);

/** hs_fd_deregister - remove a descriptor from the list; it stays open
 *
 * Errors: ENOENT: @fd isn't registered.
 */
int hs_fd_deregister(int fd);

/*
 * Signals that have the same action after a restart as at the cut. The signal mask of the thread
 * that takes the checkpoint is always restored.
 */

/** hs_sigreg - register a signal, so that a restart restores its action
 *
 * Errors: EINVAL: no such signal, or it can't have an action. EEXIST: the signal is registered
 * already.
 */
int hs_sigreg(int signum);

/** hs_sigdereg - remove a signal from the list. Errors: EINVAL, ENOENT: it isn't registered. */
int hs_sigdereg(int signum);

/*
 * Threads. After a restart each registered thread begins anew: the library calls its function
 * with its argument, and the function finds its progress in checkpoint memory. Stacks aren't
 * saved.
 */

/** struct hs_thread_attr - attributes of a thread; 0 is the default of pthread_create(3) */
struct hs_thread_attr {
	char name[16];		/* name, as for pthread_setname_np(3), or empty */
	size_t stack_size;	/* bytes */
	int policy;		/* SCHED_OTHER ... */
	int priority;		/* for policies with a priority */
};

/**
 * hs_threadreg - register a function that is called after a restart
 *
 * A single function is called in the only thread of the process. Several functions each have a
 * thread of their own, and none of them begins before all threads are created. When all functions
 * have returned, the program ends.
 *
 * Errors: EINVAL: @worker is NULL. EEXIST: @worker is registered with this @arg already. ENOSPC:
 * there are 65536 functions. ENOMEM.
 */
int hs_threadreg(void (*worker)(void *arg), void *arg);

/** hs_threadreg_attr - as hs_threadreg(), with attributes
 *
 * Errors: as hs_threadreg(), and EINVAL: the attributes are invalid.
 */
int hs_threadreg_attr(void (*worker)(void *arg), void *arg, const struct hs_thread_attr *attr);

/**
 * hs_run - begin in the same way as a spare that takes over
 *
 * Calls the registered functions, and returns when all have returned. A master that uses hs_run()
 * begins in the same way as its spare. Errors: ENOENT: no function is registered. ENOMEM, EAGAIN
 * and other errors of pthread_create(3): no function has begun, and hs_error() returns the
 * reason.
 */
int hs_run(void);

/** hs_threaddereg - remove the pair of @worker and @arg from the list
 *
 * Errors: ENOENT: the pair isn't registered.
 */
int hs_threaddereg(void (*worker)(void *arg), void *arg);

/*
 * Mutexes, condition variables and similar objects in saved memory. They count the threads that
 * hold them or wait for them, and these threads don't exist after a restart. A restart resets
 * registered objects for the new threads. A thread that uses an object that isn't registered may
 * wait for ever.
 */

#define HSSYNC_MUTEX	0	/* pthread_mutex_t of any type; mtx_t */
#define HSSYNC_COND	1	/* pthread_cond_t; cnd_t */
#define HSSYNC_RWLOCK	2	/* pthread_rwlock_t */
#define HSSYNC_BARRIER	3	/* pthread_barrier_t */
#define HSSYNC_SEM	4	/* sem_t of sem_init(3) */
#define HSSYNC_ONCE	5	/* pthread_once_t; once_flag */
#define HSSYNC_SPIN	6	/* pthread_spinlock_t */

/**
 * hs_syncreg - register an object, which each restart resets
 * @kind: HSSYNC_*
 * @object: initialised; no thread holds it or waits for it
 *
 * After a restart no thread holds the object or waits for it. A semaphore has its value at the
 * cut. A once-control that was done stays done. If a mutex or a read-write lock was held at the
 * cut, the data that it protects may be half changed: a robust mutex reports this to the first
 * thread that locks it, and for other locks the library prints a line on stderr. A lock that is
 * only held between hs_hold() and hs_release() is never held at a cut.
 *
 * Errors: EINVAL: an unknown kind, or @object is NULL. EEXIST: @object is registered already.
 * EBUSY: @object is held. ENOSPC: there are 65536 objects. ENOMEM.
 */
int hs_syncreg(int kind, void *object);

/** hs_syncdereg - remove an object from the list, before it is destroyed or its memory is freed
 *
 * Errors: ENOENT: @object isn't registered.
 */
int hs_syncdereg(void *object);

/*
 * Time. CLOCK_MONOTONIC and CLOCK_BOOTTIME differ between hosts: a time in saved memory may be
 * days ahead on another host. For hs_clock(), as for timers, no time passes between the cut and
 * the restart.
 */

struct timespec;

/**
 * hs_clock - get the time of a clock that continues after a restart where it was at the cut
 * @clock: CLOCK_MONOTONIC or CLOCK_BOOTTIME
 *
 * Before the first restart this is the time of clock_gettime(2). Errors: EINVAL: another clock,
 * or @now is NULL.
 */
int hs_clock(int clock, struct timespec *now);

/**
 * hs_clock_host - convert a time of hs_clock() into a time of this host's clock, to wait for it
 * @time: in and out, for example for pthread_cond_clockwait(3) or clock_nanosleep(2)
 *
 * Don't store the result in saved memory. Errors: EINVAL: as hs_clock().
 */
int hs_clock_host(int clock, struct timespec *time);

/**
 * hs_clock_moved - the nanoseconds that the last restart adds to times of clock_gettime(2)
 *
 * For programs that store these times instead of times of hs_clock(): a hook (restarted) adds the
 * result to each. The result may be negative. It is 0 before the first restart, and for other
 * clocks.
 */
int64_t hs_clock_moved(int clock);

#ifdef __cplusplus
}
#endif

#endif /* HOTSPARE_H */
