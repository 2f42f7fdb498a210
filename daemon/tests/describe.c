// SPDX-License-Identifier: GPL-2.0-or-later
/* Prints what the documentation has to say: "tables", or "keys" of the configuration. */
#include <string.h>

#include "conf.h"
#include "fsm.h"

static void tables(void)
{
	fsm_print(&fsm_outgoing, stdout);
	fsm_print(&fsm_ship, stdout);
	fsm_print(&fsm_incoming, stdout);
	fsm_print(&fsm_channel, stdout);
	fsm_print(&fsm_detector, stdout);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "tables"))
		tables();
	else if (argc == 2 && !strcmp(argv[1], "keys"))
		conf_print_keys(stdout);
	else
		return 2;
	return 0;
}
