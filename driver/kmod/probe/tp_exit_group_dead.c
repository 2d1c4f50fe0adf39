// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <trace/events/sched.h>

static void sched_process_exit(void *data, struct task_struct *p, bool group_dead)
{
}

void probe(void);
void probe(void)
{
	check_trace_callback_type_sched_process_exit(sched_process_exit);
}
