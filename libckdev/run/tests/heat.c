// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A solver with OpenMP, which knows nothing of checkpoints: heat spreads over a plate, step by step, and all
 * threads wait for each other after each step. The result doesn't depend on their number.
 *
 * heat STEPS
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE	700

static double plate[2][SIZE][SIZE];

int main(int argc, char **argv)
{
	const long steps = argc == 2 ? strtol(argv[1], NULL, 10) : 0;
	double sum = 0;
	long n;
	int i, j;

	for (i = 0; i < SIZE; i++)
		plate[0][0][i] = plate[0][i][0] = 100.0 + i;
	memcpy(plate[1], plate[0], sizeof(plate[0]));
	for (n = 0; n < steps; n++) {
		double (*from)[SIZE] = plate[n % 2], (*to)[SIZE] = plate[(n + 1) % 2];

#pragma omp parallel for private(j) schedule(static)
		for (i = 1; i < SIZE - 1; i++)
			for (j = 1; j < SIZE - 1; j++)
				to[i][j] = (from[i - 1][j] + from[i + 1][j] + from[i][j - 1] + from[i][j + 1]) / 4;
		if (n % 100 == 0)
			printf("%ld %.17g\n", n, to[SIZE / 8][SIZE / 8]);
	}
	for (i = 0; i < SIZE; i++)
		for (j = 0; j < SIZE; j++)
			sum += plate[steps % 2][i][j] * (i + 1);
	printf("%.17g\n", sum);
	return 0;
}
