// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <linux/fs.h>

struct file *probe(struct file __rcu **slot);
struct file *probe(struct file __rcu **slot)
{
	return get_file_rcu(slot);
}
