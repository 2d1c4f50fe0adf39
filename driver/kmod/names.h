/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Names of the shared text that the kernel's headers use, too. Comes after all of them. */
#ifndef SCAP_KMOD_NAMES_H
#define SCAP_KMOD_NAMES_H

#define new_encode_dev	      scap_new_encode_dev
#define ptrace_request	      scap_ptrace_request
#define task_pid	      scap_task_pid
#define user_msghdr	      scap_user_msghdr
#define kernel_read	      scap_kernel_read
#define current_task	      scap_current_task
#define mm_counter(mm, kind) scap_mm_counter(mm, kind)

/* How the generated flag conversions ask for the architecture. */
#if defined(CONFIG_X86_64)
#define SCAP_ARCH_AMD64
#elif defined(CONFIG_ARM64)
#define SCAP_ARCH_ARM64
#elif defined(CONFIG_RISCV)
#define SCAP_ARCH_RISCV64
#elif defined(CONFIG_LOONGARCH)
#define SCAP_ARCH_LOONG64
#elif defined(CONFIG_S390)
#define SCAP_ARCH_S390X
#elif defined(CONFIG_PPC64)
#define SCAP_ARCH_PPC64LE
#endif

#undef task_euid
#undef task_egid
#undef SI_USER
#undef SI_QUEUE

#endif
