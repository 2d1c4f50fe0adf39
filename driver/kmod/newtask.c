// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * What the kernel acts on in a clone3, kept from the tracepoint in it until the caller
 * and the new thread return: by then the caller's struct may have changed.
 */
#include <linux/hashtable.h>
#include <linux/list.h>
#include <linux/spinlock.h>

#include "newtask.h"

#define KEPT_BITS 12
#define KEPT_MAX  (2 << KEPT_BITS)

struct kept {
	struct hlist_node bucket;
	struct list_head age;
	u32 tid;
	u64 flags;
};

static DEFINE_RAW_SPINLOCK(lock);
static DEFINE_HASHTABLE(buckets, KEPT_BITS);
static LIST_HEAD(ages); /* the oldest first; free ones before them */
static struct kept pool[KEPT_MAX];

void newtask_init(void)
{
	unsigned int i;

	for (i = 0; i < KEPT_MAX; i++) {
		INIT_HLIST_NODE(&pool[i].bucket);
		list_add(&pool[i].age, &ages);
	}
}

static struct kept *find(u32 tid)
{
	struct kept *k;

	hash_for_each_possible(buckets, k, bucket, tid)
		if (k->tid == tid)
			return k;
	return NULL;
}

/* Without room the oldest is forgotten. */
void newtask_keep(u32 tid, u64 flags)
{
	unsigned long irq;
	struct kept *k;

	raw_spin_lock_irqsave(&lock, irq);
	k = find(tid) ?: list_first_entry(&ages, struct kept, age);
	hash_del(&k->bucket);
	k->tid = tid;
	k->flags = flags;
	hash_add(buckets, &k->bucket, tid);
	list_move_tail(&k->age, &ages);
	raw_spin_unlock_irqrestore(&lock, irq);
}

/* Takes what was kept for a thread; false if that is nothing. */
bool newtask_take(u32 tid, u64 *flags)
{
	unsigned long irq;
	struct kept *k;

	raw_spin_lock_irqsave(&lock, irq);
	k = find(tid);
	if (k) {
		*flags = k->flags;
		hash_del(&k->bucket);
		list_move(&k->age, &ages);
	}
	raw_spin_unlock_irqrestore(&lock, irq);
	return k;
}
