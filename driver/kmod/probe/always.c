// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Compiles everywhere: if it does not, the results of the other probes mean nothing. */
#include <linux/module.h>

int probe(void);
int probe(void)
{
	return 0;
}
