// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The module: devices /dev/scapN, consumers, ioctls. ../fillers has the params of events. */
#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/module.h>
#include <linux/pid_namespace.h>
#include <linux/rculist.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "../abi/version_gen.h"
#include "compat.h"
#include "kmod.h"

#define DEVICE_NAME "scap"

#define VERSION_OF(major, minor, patch) \
	(((u64)(major) << 44) | ((u64)(minor) << 24) | (u64)(patch))

LIST_HEAD(consumers);
DEFINE_MUTEX(consumer_mutex);

bool verbose;
module_param(verbose, bool, 0444);
MODULE_PARM_DESC(verbose, "log opens, closes and attachments");

struct persona persona __read_mostly;
static const struct persona personas[] __initconst = { SCAP_PERSONAS };
static char *persona_name = SCAP_API_VERSION;
module_param_named(persona, persona_name, charp, 0444);
MODULE_PARM_DESC(persona, "API version to speak: " SCAP_PERSONA_NAMES);

/* Sets the persona of the parameter. */
static int __init set_persona(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(personas); i++) {
		if (!strcmp(persona_name, personas[i].api)) {
			persona = personas[i];
			return 0;
		}
	}
	pr_err(DEVICE_NAME ": persona=%s: unknown (want " SCAP_PERSONA_NAMES ")\n", persona_name);
	return -EINVAL;
}

/* What modinfo cannot tell, which reads the file: the versions of the persona that is loaded. */
static int get_api_version(char *buf, const struct kernel_param *kp)
{
	return sysfs_emit(buf, "%s\n", persona.api);
}

static int get_schema_version(char *buf, const struct kernel_param *kp)
{
	return sysfs_emit(buf, "%s\n", persona.schema);
}

static int refuse_version(const char *val, const struct kernel_param *kp)
{
	pr_err(DEVICE_NAME ": %s: cannot be set, persona can\n", kp->name);
	return -EINVAL;
}

static const struct kernel_param_ops api_version_ops = { .set = refuse_version, .get = get_api_version };
static const struct kernel_param_ops schema_version_ops = { .set = refuse_version, .get = get_schema_version };
module_param_cb(api_version, &api_version_ops, NULL, 0444);
MODULE_PARM_DESC(api_version, "read only: the API version of the loaded module, see persona");
module_param_cb(schema_version, &schema_version_ops, NULL, 0444);
MODULE_PARM_DESC(schema_version, "read only: the schema version of the loaded module, see persona");

static unsigned int max_consumers = SCAP_CONSUMERS;
module_param(max_consumers, uint, 0444);
MODULE_PARM_DESC(max_consumers, "how many programs may capture at once");

static unsigned long g_buffer_bytes_dim = RING_BYTES;

static int set_buffer_bytes(const char *val, const struct kernel_param *kp)
{
	unsigned long size;
	int err = kstrtoul(val, 0, &size);

	if (err)
		return err;
	if (!ring_size_valid(size)) {
		pr_err(DEVICE_NAME ": g_buffer_bytes_dim=%lu: must be a power of two, over two pages and at most 2 GiB\n",
		       size);
		return -EINVAL;
	}
	WRITE_ONCE(*(unsigned long *)kp->arg, size);
	return 0;
}

static const struct kernel_param_ops buffer_bytes_ops = {
	.set = set_buffer_bytes,
	.get = param_get_ulong,
};
module_param_cb(g_buffer_bytes_dim, &buffer_bytes_ops, &g_buffer_bytes_dim, 0644);
MODULE_PARM_DESC(g_buffer_bytes_dim, "bytes of one CPU's ring, for rings allocated from now on");

static dev_t first_dev;
static struct cdev cdev;
static struct class *class;

/* An open device: one CPU's ring of one consumer. */
struct handle {
	struct consumer *consumer;
	unsigned int cpu;
};

static struct consumer *consumer_find(struct task_struct *id)
{
	struct consumer *c;

	list_for_each_entry(c, &consumers, list)
		if (c->id == id)
			return c;
	return NULL;
}

static void consumer_free(struct consumer *c)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu)
		ring_free(per_cpu_ptr(c->rings, cpu));
	free_percpu(c->rings);
	put_task_struct(c->id);
	kfree(c);
}

/*
 * Makes a consumer with rings for the CPUs that are online now. Called with
 * consumer_mutex held. CPUs may come and go meanwhile: the consumer gets an event
 * about a CPU without a ring; the device of a CPU that went cannot be opened.
 */
static struct consumer *consumer_create(void)
{
	u32 size = READ_ONCE(g_buffer_bytes_dim);
	unsigned int n = 0, cpu;
	struct consumer *c;

	list_for_each_entry(c, &consumers, list)
		n++;
	if (n >= max_consumers) {
		pr_err(DEVICE_NAME ": max_consumers=%u reached\n", max_consumers);
		return ERR_PTR(-EBUSY);
	}
	c = kzalloc(sizeof(*c), GFP_KERNEL);
	if (!c)
		return ERR_PTR(-ENOMEM);
	c->rings = alloc_percpu(struct ring);
	if (!c->rings) {
		kfree(c);
		return ERR_PTR(-ENOMEM);
	}
	c->hotplugged = HOTPLUG_NONE;
	c->id = current;
	get_task_struct(c->id);
	for_each_online_cpu(cpu) {
		if (ring_alloc(per_cpu_ptr(c->rings, cpu), size)) {
			consumer_free(c);
			return ERR_PTR(-ENOMEM);
		}
	}
	list_add_tail_rcu(&c->list, &consumers);
	if (verbose)
		pr_info(DEVICE_NAME ": consumer %d: %u bytes a CPU\n", c->id->pid, size);
	return c;
}

/* Every open resets the whole consumer: clients rely on it. */
static void consumer_reset(struct consumer *c)
{
	struct settings *s = &c->set;

	bitmap_zero(c->syscalls, CALLS);
	/* One by one: hits on other CPUs read them meanwhile, and divide by the ratio. */
	WRITE_ONCE(s->dropping, false);
	WRITE_ONCE(s->ratio, 1);
	WRITE_ONCE(s->snaplen, SNAPLEN_DEFAULT);
	WRITE_ONCE(s->dynamic_snaplen, false);
	WRITE_ONCE(s->drop_failed, false);
	WRITE_ONCE(s->port_start, 0);
	WRITE_ONCE(s->port_end, 0);
	WRITE_ONCE(s->statsd_port, STATSD_PORT);
	WRITE_ONCE(c->in_gap, 0);
	WRITE_ONCE(c->marker, NULL);
}

/* Takes the consumer out of use. Called with consumer_mutex held. */
static void consumer_remove(struct consumer *c)
{
	list_del_rcu(&c->list);
	if (tp_put_all(c))
		tp_wait();
	/* A probe that another consumer keeps attached may still use this one; tp_wait() does not always wait for it. */
	synchronize_rcu();
	if (verbose)
		pr_info(DEVICE_NAME ": consumer %d: closed\n", c->id->pid);
	consumer_free(c);
}

static int scap_open(struct inode *inode, struct file *file)
{
	unsigned int cpu = iminor(inode);
	struct consumer *c;
	struct handle *h;
	struct ring *r;
	int err = 0;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (cpu >= nr_cpu_ids || !cpu_possible(cpu))
		return -ENODEV;
	h = kzalloc(sizeof(*h), GFP_KERNEL);
	if (!h)
		return -ENOMEM;

	mutex_lock(&consumer_mutex);
	c = consumer_find(current);
	if (!c) {
		c = consumer_create();
		if (IS_ERR(c)) {
			err = PTR_ERR(c);
			goto out;
		}
	}
	r = per_cpu_ptr(c->rings, cpu);
	if (!cpu_online(cpu) || !r->buf)
		err = -ENODEV;
	else if (r->open)
		err = -EBUSY;
	if (err) {
		/* Nothing would remove a consumer that has no open device. */
		if (!c->open)
			consumer_remove(c);
		goto out;
	}
	/* A hit from before the last close may still write to the ring. */
	if (r->used)
		synchronize_rcu();
	r->used = true;
	consumer_reset(c);
	ring_reset(r);
	WRITE_ONCE(r->open, true);
	c->open++;
	h->consumer = c;
	h->cpu = cpu;
	file->private_data = h;
	h = NULL;
out:
	mutex_unlock(&consumer_mutex);
	kfree(h);
	return err;
}

static int scap_release(struct inode *inode, struct file *file)
{
	struct handle *h = file->private_data;
	struct consumer *c = h->consumer;

	mutex_lock(&consumer_mutex);
	WRITE_ONCE(per_cpu_ptr(c->rings, h->cpu)->open, false);
	if (--c->open == 0)
		consumer_remove(c);
	mutex_unlock(&consumer_mutex);
	kfree(h);
	return 0;
}

static int scap_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct handle *h = file->private_data;

	/* No lock: a ring keeps its memory while a file is open, and the caller holds mmap_lock. */
	return ring_mmap(per_cpu_ptr(h->consumer->rings, h->cpu), vma);
}

struct proc_entry {
	u64 pid;
	u64 utime;
	u64 stime;
};

struct proc_list {
	s64 n_entries;
	s64 max_entries;
};

#define NS_PER_TICK 10000000ULL /* the ABI counts in 1/100 s */

static long ioc_proclist(struct proc_list __user *user)
{
	struct proc_entry *entries = NULL;
	struct task_struct *p, *t;
	struct proc_list head;
	s64 n = 0;
	long err = 0;

	if (copy_from_user(&head, user, sizeof(head)))
		return -EINVAL;
	if (head.max_entries < 0 || head.max_entries > SCAP_PROCLIST_MAX)
		return -EINVAL;
	if (head.max_entries) {
		entries = vzalloc(head.max_entries * sizeof(*entries));
		if (!entries)
			return -ENOMEM;
	}
	rcu_read_lock();
	for_each_process_thread(p, t) {
		if (n < head.max_entries) {
			entries[n].pid = t->pid;
			entries[n].utime = div_u64(t->utime, NS_PER_TICK);
			entries[n].stime = div_u64(t->stime, NS_PER_TICK);
		}
		n++;
	}
	rcu_read_unlock();

	head.n_entries = n;
	if (n >= head.max_entries)
		err = -ENOSPC;
	else if (copy_to_user(user + 1, entries, n * sizeof(*entries)))
		err = -EINVAL;
	if (copy_to_user(user, &head, sizeof(head)))
		err = -EINVAL;
	vfree(entries);
	return err;
}

static long ioc_tp_hits(long __user *user)
{
	long *hits = kcalloc(nr_cpu_ids, sizeof(*hits), GFP_KERNEL);
	long err = 0;

	if (!hits)
		return -ENOMEM;
	tp_hits(hits, nr_cpu_ids);
	if (copy_to_user(user, hits, nr_cpu_ids * sizeof(*hits)))
		err = -EINVAL;
	kfree(hits);
	return err;
}

/* The id in its own namespace of thread tid, which is an id of the initial pid namespace. */
static long ioc_virtual_id(unsigned long tid, bool group)
{
	struct task_struct *t;
	long id = -EINVAL;

	if (tid > INT_MAX)
		return -EINVAL;
	rcu_read_lock();
	t = pid_task(find_pid_ns(tid, &init_pid_ns), PIDTYPE_PID);
	if (t) {
		struct pid_namespace *ns = task_active_pid_ns(t);

		if (ns)
			id = group ? task_tgid_nr_ns(t, ns) : task_pid_nr_ns(t, ns);
	}
	rcu_read_unlock();
	return id;
}

static long put_version(unsigned long arg, u64 v)
{
	return copy_to_user((void __user *)arg, &v, sizeof(v)) ? -EINVAL : 0;
}

static long consumer_ioctl(struct consumer *c, unsigned int cmd, unsigned long arg)
{
	struct settings *s = &c->set;

	switch (cmd) {
	case IOC_DROPPING_OFF:
		WRITE_ONCE(s->dropping, false);
		WRITE_ONCE(s->ratio, 1);
		return 0;
	case IOC_DROPPING_ON:
		WRITE_ONCE(s->dropping, true);
		if (arg < 1 || arg > SAMPLING_RATIO_MAX || (arg & (arg - 1)))
			return -EINVAL;
		WRITE_ONCE(s->ratio, arg);
		return 0;
	case IOC_SNAPLEN:
		if (arg > SNAPLEN_MAX)
			return -EINVAL;
		WRITE_ONCE(s->snaplen, arg);
		return 0;
	case IOC_DYN_SNAPLEN_OFF:
	case IOC_DYN_SNAPLEN_ON:
		WRITE_ONCE(s->dynamic_snaplen, cmd == IOC_DYN_SNAPLEN_ON);
		return 0;
	case IOC_PORT_RANGE:
		WRITE_ONCE(s->port_start, arg & 0xffff);
		WRITE_ONCE(s->port_end, arg >> 16 & 0xffff);
		return 0;
	case IOC_STATSD_PORT:
		WRITE_ONCE(s->statsd_port, arg & 0xffff);
		return 0;
	case IOC_SYSCALL_ON:
	case IOC_SYSCALL_OFF:
		if (arg >= (s->own_events ? CALLS : SYSCALLS))
			return -EINVAL;
		if (cmd == IOC_SYSCALL_ON)
			set_bit(arg, c->syscalls);
		else
			clear_bit(arg, c->syscalls);
		return 0;
	case IOC_TP_ON:
		return arg < TP_COUNT ? tp_enable(c, arg) : -EINVAL;
	case IOC_TP_OFF:
		if (arg >= TP_COUNT)
			return -EINVAL;
		tp_disable(c, arg);
		return 0;
	case IOC_DROPFAILED_ON:
	case IOC_DROPFAILED_OFF:
		WRITE_ONCE(s->drop_failed, cmd == IOC_DROPFAILED_ON);
		return 0;
	case IOC_VTID:
	case IOC_VPID:
		return ioc_virtual_id(arg, cmd == IOC_VPID);
	case IOC_CURRENT_TID:
		return task_pid_nr(current);
	case IOC_CURRENT_PID:
		return task_tgid_nr(current);
	case IOC_OWN_EVENTS:
		WRITE_ONCE(s->own_events, !!arg);
		return 0;
	}
	return -ENOTTY;
}

static long scap_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct handle *h = file->private_data;
	long ret;

	switch (cmd) {
	case IOC_API_VERSION:
		return put_version(arg, persona.api_number);
	case IOC_SCHEMA_VERSION:
		return put_version(arg, persona.schema_number);
	case IOC_DRIVER_VERSION:
		return copy_to_user((void __user *)arg, SCAPLAB_VERSION, sizeof(SCAPLAB_VERSION)) ?
			       -EINVAL : 0;
	case IOC_PROCLIST:
		return ioc_proclist((struct proc_list __user *)arg);
	case IOC_TP_HITS:
		return ioc_tp_hits((long __user *)arg);
	}
	mutex_lock(&consumer_mutex);
	ret = consumer_ioctl(h->consumer, cmd, arg);
	mutex_unlock(&consumer_mutex);
	return ret;
}

static const struct file_operations scap_fops = {
	.owner		= THIS_MODULE,
	.open		= scap_open,
	.release	= scap_release,
	.mmap		= scap_mmap,
	.unlocked_ioctl = scap_ioctl,
};

static char *scap_devnode(DEVNODE_ARG *dev, umode_t *mode)
{
	if (mode)
		*mode = 0400;
	return NULL;
}

static int __init scap_init(void)
{
	unsigned int n = nr_cpu_ids, cpu;
	int err;

	/* Probes run with preemption off and take spin locks, which sleep there. */
	if (IS_ENABLED(CONFIG_PREEMPT_RT)) {
		pr_err(DEVICE_NAME ": no support for PREEMPT_RT kernels\n");
		return -EOPNOTSUPP;
	}
	err = set_persona();
	if (err)
		return err;
	err = tp_init();
	if (err)
		return err;
	err = alloc_chrdev_region(&first_dev, 0, n + 1, DEVICE_NAME);
	if (err)
		goto no_region;
	class = scap_class_create(DEVICE_NAME);
	if (IS_ERR(class)) {
		err = PTR_ERR(class);
		goto no_class;
	}
	class->devnode = scap_devnode;
	for_each_possible_cpu(cpu) {
		struct device *dev = device_create(class, NULL, first_dev + cpu, NULL, DEVICE_NAME "%u", cpu);

		if (IS_ERR(dev)) {
			err = PTR_ERR(dev);
			goto no_devices;
		}
	}
	/* Last: from here on files can be opened, which a later failure would leave open. */
	cdev_init(&cdev, &scap_fops);
	cdev.owner = THIS_MODULE;
	err = cdev_add(&cdev, first_dev, n);
	if (err)
		goto no_devices;
	pr_info(DEVICE_NAME ": %s, API %s, schema %s\n", SCAPLAB_VERSION, persona.api, persona.schema);
	return 0;

no_devices:
	for_each_possible_cpu(cpu)
		device_destroy(class, first_dev + cpu);
	class_destroy(class);
no_class:
	unregister_chrdev_region(first_dev, n + 1);
no_region:
	tp_exit();
	return err;
}

static void __exit scap_exit(void)
{
	unsigned int cpu;

	/* Open files hold a reference to the module: no consumer is left here. */
	cdev_del(&cdev);
	for_each_possible_cpu(cpu)
		device_destroy(class, first_dev + cpu);
	class_destroy(class);
	unregister_chrdev_region(first_dev, nr_cpu_ids + 1);
	tp_exit();
}

module_init(scap_init);
module_exit(scap_exit);
MODULE_LICENSE("Dual MIT/GPL");
MODULE_AUTHOR("the scaplab authors");
MODULE_DESCRIPTION("system-call event capture");
MODULE_VERSION(SCAPLAB_VERSION);
/* Of the default persona; personas says which others there are, and where the loaded one is told. */
MODULE_INFO(api_version, SCAP_API_VERSION);
MODULE_INFO(schema_version, SCAP_SCHEMA_VERSION);
MODULE_INFO(personas, SCAP_PERSONA_NAMES " by the parameter persona; loaded: /sys/module/" KBUILD_MODNAME "/parameters/api_version");
/* Of the events of all personas and of those that a client asks for, see IOC_OWN_EVENTS. */
MODULE_INFO(own_schema_version, SCAP_OWN_SCHEMA_VERSION);
