/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Renames names of the shared text that kernel headers use as well. Included after all kernel headers. */
#ifndef SCAP_KMOD_NAMES_H
#define SCAP_KMOD_NAMES_H

#define new_encode_dev	      scap_new_encode_dev
#define ptrace_request	      scap_ptrace_request
#define task_pid	      scap_task_pid
#define user_msghdr	      scap_user_msghdr
#define kernel_read	      scap_kernel_read
#define current_task	      scap_current_task
#define mm_counter(mm, kind) scap_mm_counter(mm, kind)

#undef task_euid
#undef task_egid
#undef SI_USER
#undef SI_QUEUE

#endif
