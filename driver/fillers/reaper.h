/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The thread that adopts the children of a thread that ends, found as the kernel finds it a moment later. */
#ifndef SCAP_REAPER_H
#define SCAP_REAPER_H

#define REAPER_THREADS	 30
#define REAPER_ANCESTORS 60
#define PF_EXITING_BIT	 0x4

enum { NO_LIVE_THREAD = 0, GAVE_UP = -1 };

/* A thread of the task's group that is not exiting; NO_LIVE_THREAD or GAVE_UP. */
SUBPROGRAM(reaper) s32 live_thread(u64 task_address)
{
	struct task_struct *task = (struct task_struct *)task_address;
	struct signal_struct *signal = READ(task, signal);
	struct list_head *node = READ(signal, thread_head.next);

	for (int i = 0; i < REAPER_THREADS; i++) {
		struct task_struct *t;

		if (!node || node == &signal->thread_head)
			return NO_LIVE_THREAD;
		t = OUTER(node, struct task_struct, thread_node);
		if (!(READ(t, flags) & PF_EXITING_BIT))
			return READ(t, pid);
		node = READ(node, next);
	}
	return GAVE_UP;
}

static __always_inline s64 reaper_tid(struct filler *f)
{
	struct task_struct *task = subject(f), *init, *up;
	struct pid *pid = READ(task, thread_pid);
	u32 level = READ(pid, level);
	struct pid_namespace *ns = READ(upid_at(pid, level), ns);
	s64 tid;

	if (READ(task, children.next) == &task->children)
		return 0;
	tid = live_thread(number_of(task));
	if (tid)
		return tid;
	init = READ(ns, child_reaper);
	if (init == task)
		return 0; /* the namespace ends with its init */
	if (!READ_BITS(READ(task, signal), has_child_subreaper))
		return READ(init, pid);
	up = READ(task, real_parent);
	for (int i = 0; i < REAPER_ANCESTORS; i++) {
		if (ns_level(up) != level || !READ(up, pid))
			return READ(init, pid);
		if (READ_BITS(READ(up, signal), is_child_subreaper)) {
			tid = live_thread(number_of(up));
			if (tid)
				return tid;
		}
		up = READ(up, real_parent);
	}
	return GAVE_UP;
}

#endif
