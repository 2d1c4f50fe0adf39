/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Kernel APIs that changed since 5.10. Each HAVE_ macro comes from
 * compiling driver/kmod/probe/<name>.c against the target's headers, never from
 * a version number: distributions backport.
 */
#ifndef SCAP_KMOD_COMPAT_H
#define SCAP_KMOD_COMPAT_H

#include <linux/device.h>
#include <linux/mm.h>
#include <linux/module.h>

#include <probed.h>

static inline struct class *scap_class_create(const char *name)
{
#ifdef HAVE_CLASS_CREATE_NAME /* 1aaba11da9aa, 6.4 */
	return class_create(name);
#else
	return class_create(THIS_MODULE, name);
#endif
}

#ifdef HAVE_DEVNODE_CONST /* ff62b8e6588f, 6.2 */
#define DEVNODE_ARG const struct device
#else
#define DEVNODE_ARG struct device
#endif

#ifdef HAVE_TP_SWITCH_PREV_STATE /* 9c2136be0878, 5.18 */
#define SWITCH_PREV_STATE , unsigned int prev_state
#else
#define SWITCH_PREV_STATE
#endif

#ifdef HAVE_TP_EXIT_GROUP_DEAD /* after 6.12, by 7.2 */
#define EXIT_GROUP_DEAD , bool group_dead
#else
#define EXIT_GROUP_DEAD
#endif

#ifdef HAVE_TP_NEWTASK_U64 /* edd3cb05c00a, 6.18 */
#define NEWTASK_FLAGS u64
#else
#define NEWTASK_FLAGS unsigned long
#endif

static inline void vma_change_flags(struct vm_area_struct *vma, unsigned long set, unsigned long clear)
{
#ifdef HAVE_VM_FLAGS_MOD /* bc292ab00f6c, 6.3 */
	vm_flags_mod(vma, set, clear);
#else
	vma->vm_flags = (vma->vm_flags | set) & ~clear;
#endif
}

#endif
