/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The fillers, one text for both drivers. Before a driver includes this, it defines:
 *
 *	struct filler	the event being built. The fields that this text uses have the same types in
 *			both drivers, which a test of package driver checks
 *	push.h		append_TYPE, append_user, ..., end_param, tmp_of, subject
 *	read.h		READ, READ_AT, kernel_read, user_read, user_read_str, current_task
 *	kernel.h	access that depends on the kernel's version: inode_ctime, mm_counter, upid_at, css_of, ...
 *			and what the module must hold while it looks at it: open_file, exe_file, tty_device,
 *			unix_peer_lock
 *	path.h		append_path
 *	settings	setting_snaplen, setting_ratio, ... of the event's reader; syscall_id_of, this_cpu
 *
 * and includes behind it the generated fillers, CLASS_gen.h.
 */
#ifndef SCAP_FILLERS_H
#define SCAP_FILLERS_H

#include "param.h"
#include "flags_gen.h"
#include "args.h"
#include "user.h"
#include "file.h"
#include "sock.h"
#include "task.h"
#include "exec.h"
#include "trace.h"
#include "reaper.h"
#include "manual.h"

#endif
