// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <trace/events/task.h>

static void task_newtask(void *data, struct task_struct *p, u64 clone_flags)
{
}

void probe(void);
void probe(void)
{
	check_trace_callback_type_task_newtask(task_newtask);
}
