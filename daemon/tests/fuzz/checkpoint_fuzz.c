// SPDX-License-Identifier: GPL-2.0-or-later
/* Checkpoint files of libhotspare, by the library's reader and what cptdevctl shows of them. */
#include "fuzz.h"
#include "inspect.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static FILE *null;
	struct inspect_file f = {};
	int fd;

	if (!null)
		null = fopen("/dev/null", "w");
	inspect_read(&f, fuzz_file(data, size, &fd));
	inspect_text(&f, null);
	json_object_put(inspect_json(&f));
	inspect_free(&f);
	close(fd);
	return 0;
}
