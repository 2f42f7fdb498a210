// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Processes that share memory (MAP_SHARED | MAP_ANONYMOUS) and know nothing of checkpoints: three of them add
 * to a ledger in turn, under a mutex, and wait for their turn by a condition. Each entry depends on the one
 * before. A part that only the parent has written is read by the children at the end; another one they can't
 * write any more.
 *
 * common [ROUNDS]	1000 rounds
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESSES	3
#define ENTRIES		8192
#define PAGE		4096

struct common {
	pthread_mutex_t mutex;
	pthread_cond_t turn;
	unsigned long round;
	unsigned long entry[ENTRIES];
};

/* Written before there is a child. */
struct early {
	unsigned char bytes[16 * PAGE];
};

static unsigned long rounds = 1000;
static bool unlinked;
static struct common *common;
static struct early *early;

__attribute__((noreturn))
static void wrong(const char *what, unsigned long is, unsigned long want)
{
	printf("WRONG: %s: %lu, not %lu\n", what, is, want);
	fflush(stdout);
	_exit(1);
}

static unsigned long next_entry(unsigned long before, unsigned long round)
{
	return (before ^ round) * 6364136223846793005UL + 1442695040888963407UL;
}

static void take_turns(unsigned long own)
{
	unsigned long *e = common->entry, round, mine = own;

	for (;;) {
		pthread_mutex_lock(&common->mutex);
		while (common->round < rounds && common->round % PROCESSES != own)
			pthread_cond_wait(&common->turn, &common->mutex);
		round = common->round;
		if (round < rounds) {
			if (mine != round)
				wrong("the round", round, mine);
			e[(round + 1) % ENTRIES] = next_entry(e[round % ENTRIES], round);
			common->round++;
		}
		pthread_cond_broadcast(&common->turn);
		pthread_mutex_unlock(&common->mutex);
		if (round >= rounds)
			return;
		mine += PROCESSES;
		usleep(1000);
	}
}

static void check_early(void)
{
	size_t i;

	for (i = 0; i < sizeof(early->bytes); i++)
		if (early->bytes[i] != (i / PAGE % 2 ? 0 : (i * 7 + 1) % 251))
			wrong("a byte of the parent", early->bytes[i], i);
}

static void *share(size_t len)
{
	const char *name = "/common-of-a-test";
	int fd = unlinked ? shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600) : -1;
	void *p;

	if (unlinked && (fd < 0 || ftruncate(fd, (off_t)len) || shm_unlink(name)))
		wrong("shm_open", 0, 1);
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | (unlinked ? 0 : MAP_ANONYMOUS), fd, 0);
	if (p == MAP_FAILED)
		wrong("mmap", 0, 1);
	if (unlinked)
		close(fd);
	return p;
}

static void begin(void)
{
	pthread_condattr_t cond;
	pthread_mutexattr_t mutex;
	size_t i;

	common = share(sizeof(*common));
	early = share(sizeof(*early));
	pthread_mutexattr_init(&mutex);
	pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&common->mutex, &mutex);
	pthread_condattr_init(&cond);
	pthread_condattr_setpshared(&cond, PTHREAD_PROCESS_SHARED);
	pthread_cond_init(&common->turn, &cond);
	for (i = 0; i < sizeof(early->bytes); i++)
		if (i / PAGE % 2 == 0)
			early->bytes[i] = (i * 7 + 1) % 251;
}

int main(int argc, char **argv)
{
	unsigned long i, want = 0;
	int status;

	if (argc > 1)
		rounds = strtoul(argv[1], NULL, 10);
	unlinked = argc > 2;
	begin();
	for (i = 1; i < PROCESSES; i++)
		if (!fork()) {
			if (i == 1)
				mprotect(early, sizeof(*early), PROT_READ);
			take_turns(i);
			check_early();
			_exit(20 + (int)i);
		}
	take_turns(0);
	for (i = 1; i < PROCESSES; i++)
		if (wait(&status) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) / 10 != 2)
			wrong("how a child ended", (unsigned long)status, 0);
	for (i = 0; i < rounds; i++)
		want = next_entry(want, i);
	if (common->entry[rounds % ENTRIES] != want)
		wrong("the last entry", common->entry[rounds % ENTRIES], want);
	check_early();
	printf("common: %lu rounds: %lu\n", rounds, want);
	return 0;
}
