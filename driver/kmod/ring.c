// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Memory of the rings: allocated, mapped twice in a row, handed to the client. */
#include <linux/log2.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "compat.h"
#include "kmod.h"

bool ring_size_valid(unsigned long size)
{
	return size > 2 * PAGE_SIZE && size % PAGE_SIZE == 0 && is_power_of_2(size) &&
	       size <= U32_MAX / 2 + 1UL;
}

int ring_alloc(struct ring *r, u32 size)
{
	unsigned int n = size / PAGE_SIZE, i;

	r->info = (struct ring_info *)get_zeroed_page(GFP_KERNEL);
	if (!r->info)
		return -ENOMEM;
	/* The list holds every page twice: one vmap of it is the double mapping. */
	r->pages = kvcalloc(2 * n, sizeof(*r->pages), GFP_KERNEL);
	if (!r->pages)
		goto fail;
	r->size = size;
	r->tmp = kmalloc(PATH_TMP_SIZE, GFP_KERNEL);
	if (!r->tmp)
		goto fail;
	for (i = 0; i < n; i++) {
		/* With __GFP_NORETRY too large a size fails, instead of waking the OOM killer. */
		struct page *p = alloc_page(GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN | __GFP_NORETRY);

		if (!p)
			goto fail;
		r->pages[i] = p;
		r->pages[n + i] = p;
	}
	r->buf = vmap(r->pages, 2 * n, VM_MAP, PAGE_KERNEL);
	if (!r->buf)
		goto fail;
	ring_reset(r);
	return 0;
fail:
	ring_free(r);
	return -ENOMEM;
}

void ring_free(struct ring *r)
{
	unsigned int i;

	if (r->buf)
		vunmap(r->buf);
	if (r->pages) {
		for (i = 0; i < r->size / PAGE_SIZE; i++) {
			if (r->pages[i])
				__free_page(r->pages[i]); /* drops our reference: a client may have it mapped */
			if (i % 1024 == 0)
				cond_resched();
		}
		kvfree(r->pages);
	}
	kfree(r->tmp);
	free_page((unsigned long)r->info);
	memset(r, 0, sizeof(*r));
}

void ring_reset(struct ring *r)
{
	memset(r->info, 0, sizeof(*r->info));
	r->head = 0;
}

int ring_mmap(struct ring *r, struct vm_area_struct *vma)
{
	unsigned long len = vma->vm_end - vma->vm_start;
	unsigned long pages = len / PAGE_SIZE;

	if (vma->vm_pgoff)
		return -EIO;
	if (len <= PAGE_SIZE)
		return vm_insert_page(vma, vma->vm_start, virt_to_page(r->info));
	if (len != 2UL * r->size || (vma->vm_flags & VM_WRITE))
		return -EIO;
	/* A later mprotect must not make the events writable either. */
	vma_change_flags(vma, VM_DONTEXPAND | VM_DONTDUMP, VM_MAYWRITE);
	return vm_insert_pages(vma, vma->vm_start, r->pages, &pages);
}
