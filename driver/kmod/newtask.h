/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The flags of clone3 calls, by thread id. */
#ifndef SCAP_KMOD_NEWTASK_H
#define SCAP_KMOD_NEWTASK_H

#include <linux/types.h>

void newtask_init(void);
void newtask_keep(u32 tid, u64 flags);
bool newtask_take(u32 tid, u64 *flags);

#endif
