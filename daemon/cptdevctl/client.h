/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CPTDEVCTL_CLIENT_H
#define CPTDEVCTL_CLIENT_H

#include "json.h"

/* A connection to the daemon's control socket, or a negative errno. */
int client_connect(const char *path);
/*
 * Ask the daemon for its status. NULL: it can't be asked, @why says why, and @err has the
 * errno.
 */
struct json_object *client_status(const char *path, int *err, char *why, size_t size);

/*
 * Ask for something else: "promote", "forget". NULL as above; an answer may have "error". Takes
 * @request.
 */
struct json_object *client_command(const char *path, struct json_object *request, int *err);

#endif
