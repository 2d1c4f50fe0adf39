/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Declarations that the parts of the module share: consumers, rings, settings. */
#ifndef SCAP_KMOD_H
#define SCAP_KMOD_H

#include <linux/bitmap.h>
#include <linux/cpumask.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/types.h>
#include <linux/build_bug.h>

#include "../abi/event.h"
#include "../abi/module_gen.h"

#define SCAP_CONSUMERS	      5
#define SCAP_PROCLIST_MAX     1000000

/* What d_path() writes behind the path of a file that is no more. */
#define DELETED " (deleted)"
/* Room for a path that is no longer than in the eBPF driver, and for that. */
#define PATH_TMP_SIZE (TMP_SIZE + sizeof(DELETED) - 1)

/*
 * The ring of one CPU for one consumer. Only that CPU writes, with preemption
 * off, and one hit at a time: see record().
 */
struct ring {
	struct ring_info *info; /* one page, shared with the client */
	u8 *buf;		/* size bytes, mapped twice in a row */
	struct page **pages;
	u8 *tmp;		/* PATH_TMP_SIZE bytes for an event under construction */
	u32 size;
	u32 head;		/* info->head is a copy, which the client may overwrite */
	bool open;
	bool used;		/* was open before */
};

struct kmod_event;

/* The settings of one consumer. Written under the consumer mutex, read with READ_ONCE. */
struct settings {
	u32 snaplen;
	u32 ratio;
	bool dropping;
	bool dynamic_snaplen;
	bool drop_failed;
	bool own_events;	/* accepts codes from 0x8000 on */
	u16 port_start;
	u16 port_end;
	u16 statsd_port;
};

enum { HOTPLUG_NONE = -1, HOTPLUG_TOLD = -2 };

struct consumer {
	struct list_head list;	/* consumers: written under consumer_mutex, read under RCU */
	struct task_struct *id; /* the opening thread, with a reference */
	struct settings set;
	DECLARE_BITMAP(syscalls, CALLS);
	u32 tps;		/* bitmap of enum scap_tp */
	unsigned int open;	/* rings open */
	int in_gap;		/* dropping mode: inside the discarded part of the second */
	const struct kmod_event *marker; /* the begin or end of a gap, not yet in a ring */
	int hotplugged;		/* a CPU without a ring that produced an event, or HOTPLUG_... */
	struct ring __percpu *rings;
};

extern struct list_head consumers;
extern struct mutex consumer_mutex;

/* main.c */
extern bool verbose;
/* A version of the reference, which its clients of that age demand: see abi/version_gen.h. */
struct persona {
	const char *api;
	const char *schema;
	u64 api_number;
	u64 schema_number;
	u16 codes;  /* these clients know the event codes below it */
	u16 ids;    /* and the syscall codes below it */
	bool older; /* they know old_nparams of the params, see struct kmod_event */
};
extern struct persona persona; /* set when the module is loaded */

/* ring.c */
int ring_alloc(struct ring *r, u32 size);
void ring_free(struct ring *r);
void ring_reset(struct ring *r);
int ring_mmap(struct ring *r, struct vm_area_struct *vma);
bool ring_size_valid(unsigned long size);

/* tp.c */
int tp_init(void);
void tp_exit(void);
int tp_enable(struct consumer *c, unsigned int tp);
void tp_disable(struct consumer *c, unsigned int tp);
bool tp_put_all(struct consumer *c);
void tp_wait(void);
void tp_hits(long *hits, unsigned int cpus);

#endif
