// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Compiles everywhere: if this one does not, the others say nothing. */
#include <linux/module.h>

int probe(void);
int probe(void)
{
	return 0;
}
