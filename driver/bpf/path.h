/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Paths, walked from the innermost name up; the module calls d_path() instead.
 * They are global functions, as in subprog.h.
 */
#ifndef SCAP_BPF_PATH_H
#define SCAP_BPF_PATH_H

#define PATH_MOUNTS 64  /* mounts that a path may lead through, besides its names */
#define NAME_MASK   255 /* names are at most 255 bytes */

/* Where the CPU's event is built. */
static __always_inline struct scratch *this_scratch(void)
{
	u32 id = bpf_get_smp_processor_id();
	struct cpu *cpu;

	if (!in_place)
		return bpf_map_lookup_elem(&scratch, &id);
	cpu = bpf_map_lookup_elem(&cpus, &id);
	return cpu ? place_at(id, cpu->head) : NULL;
}

/*
 * Writes the path of a struct file to offset off of the event, and returns the
 * offset after it. The path is what d_path() gives the current task, from its root
 * or that of its mount namespace, but without " (deleted)". It is built backwards from
 * the end of tmp; a path that does not fit, has too many names or leads through too
 * many mounts is cut.
 */
SUBPROGRAM(path) u32 write_path(u64 file_address, u32 off)
{
	struct file *file = (void *)file_address;
	struct fs_struct *fs = READ(current_task(), fs);
	struct dentry *root_dentry = PROBE(fs, root.dentry);
	struct vfsmount *root_mnt = PROBE(fs, root.mnt);
	struct dentry *dentry = PROBE(file, f_path.dentry);
	struct vfsmount *vfsmnt = PROBE(file, f_path.mnt);
	struct scratch *s = this_scratch();
	u32 pos = TMP_SIZE - 1 - always_zero, len;
	volatile u32 *names; /* in memory: the verifier would check each iteration for each number of them */
	bool whole = false;
	long n;

	if (!s)
		return off;
	names = &s->forgotten;
	*names = 0;
	s->tmp[TMP_SIZE - 1] = 0;
	for (int i = 0; i < PATH_NAMES + PATH_MOUNTS; i++) {
		struct dentry *parent;

		if (dentry == root_dentry && vfsmnt == root_mnt) {
			whole = true;
			break;
		}
		if (dentry == PROBE(vfsmnt, mnt_root)) {
			struct mount *mnt = OUTER(vfsmnt, struct mount, mnt);
			struct mount *up = PROBE(mnt, mnt_parent);

			if (up == mnt || !up) {
				whole = true;
				break;
			}
			dentry = PROBE(mnt, mnt_mountpoint);
			vfsmnt = &up->mnt;
			continue;
		}
		parent = PROBE(dentry, d_parent);
		len = PROBE(dentry, d_name.len) & NAME_MASK;
		if (!len) {
			whole = true;
			break;
		}
		if (*names >= PATH_NAMES || len + 1 > pos)
			break;
		++*names;
		pos -= len;
		opaque(pos);
		bpf_probe_read_kernel(&s->tmp[pos & (TMP_SIZE - 1)], len, PROBE(dentry, d_name.name));
		pos--;
		s->tmp[pos & (TMP_SIZE - 1)] = '/';
		if (parent == dentry) {
			whole = true;
			break; /* not in a directory tree: memfd */
		}
		dentry = parent;
	}
	if (!whole) {
		memcpy(&s->data[off & EVENT_MASK], CUT_MARK, CUT_MARK_LEN);
		off += CUT_MARK_LEN;
	} else if (pos == TMP_SIZE - 1) {
		s->tmp[--pos] = '/';
	}
	opaque(pos);
	opaque(off);
	n = bpf_probe_read_kernel_str(&s->data[off & EVENT_MASK], TMP_SIZE, &s->tmp[pos & (TMP_SIZE - 1)]);
	return n > 0 ? off + n : off;
}

static __always_inline void append_path(struct filler *f, u64 file)
{
	f->off = write_path(file, f->off);
}

/* The same for the path of a controller's cgroup. */
SUBPROGRAM(cgroup) u32 write_cgroup(u64 css, u32 off)
{
	struct kernfs_node *kn = READ((struct cgroup_subsys_state *)css, cgroup, kn);
	const char *names[CGROUP_NAMES] = {};
	struct kernfs_node *parent = kn ? kernfs_parent_of(kn) : NULL; /* the root has none, and no name */
	struct scratch *s = this_scratch();
	int n = 0;

	if (!s)
		return off;
	for (int i = 0; i < CGROUP_NAMES; i++) {
		if (!parent)
			break;
		names[i] = READ(kn, name);
		kn = parent;
		parent = kernfs_parent_of(kn);
		n = i + 1;
	}
	if (parent) {
		memcpy(&s->data[off & EVENT_MASK], CUT_MARK, CUT_MARK_LEN);
		off += CUT_MARK_LEN;
	}
	if (!n)
		s->data[off++ & EVENT_MASK] = '/';
	for (int i = CGROUP_NAMES - 1; i >= 0; i--) {
		long len;

		if (i >= n)
			continue;
		opaque(off);
		off &= EVENT_MASK; /* so that the verifier knows the same of it in each iteration */
		s->data[off++] = '/';
		len = bpf_probe_read_kernel_str(&s->data[off], NAME_MASK + 1, names[i]);
		if (len > 0)
			off += len - 1;
	}
	opaque(off);
	s->data[off++ & EVENT_MASK] = 0;
	return off;
}

static __always_inline void append_cgroup_path(struct filler *f, u64 css)
{
	f->off = write_cgroup(css, f->off);
}

#endif
