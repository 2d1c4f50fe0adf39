// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <trace/events/sched.h>

static void sched_switch(void *data, bool preempt, struct task_struct *prev, struct task_struct *next,
			 unsigned int prev_state)
{
}

void probe(void);
void probe(void)
{
	check_trace_callback_type_sched_switch(sched_switch);
}
