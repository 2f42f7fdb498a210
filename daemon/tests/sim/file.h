/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files without a name, as memfd_create(2) makes them, without a system call for each page. */
#ifndef TESTS_SIM_FILE_H
#define TESTS_SIM_FILE_H

#include <sys/types.h>

#include "types.h"

struct file;

struct file *file_new(void);
void file_free(struct file *f);
ssize_t file_read(struct file *f, void *buf, size_t len, u64 pos);
ssize_t file_write(struct file *f, const void *buf, size_t len, u64 pos);

#endif
