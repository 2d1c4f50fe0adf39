/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The text common to all objects. CLASS_gen.bpf.c and core.bpf.c define
 * OBJECT_CLASS and include it; the macros of program.h and tracepoint.h then make
 * programs of the lines that follow.
 */
#ifndef SCAP_BPF_OBJECT_H
#define SCAP_BPF_OBJECT_H

#include "helpers.h"

/*
 * SUBPROGRAM(group) begins a global function, which the verifier checks once
 * instead of at each call. Its arguments are numbers. The compiler keeps a global
 * function even if nothing calls it, so each group is global only in the objects
 * that call it; `make bpf` refuses a call from another object.
 */
#define SUBPROGRAM(group) SUBPROGRAM_##group
#define HERE		  __noinline
#define NOT_HERE	  static __noinline

#if defined(OBJECT_CORE)
#define SUBPROGRAM_reaper HERE
#else
#define SUBPROGRAM_reaper NOT_HERE
#endif

#if defined(OBJECT_FILE) || defined(OBJECT_PROCESS)
#define SUBPROGRAM_path HERE
#else
#define SUBPROGRAM_path NOT_HERE
#endif

#if defined(OBJECT_PROCESS)
#define SUBPROGRAM_argv	  HERE
#define SUBPROGRAM_cgroup HERE
#define SUBPROGRAM_exe	  HERE
#else
#define SUBPROGRAM_argv	  NOT_HERE
#define SUBPROGRAM_cgroup NOT_HERE
#define SUBPROGRAM_exe	  NOT_HERE
#endif

#if defined(OBJECT_IO_OTHER) || defined(OBJECT_IPC) || defined(OBJECT_MEMORY) || defined(OBJECT_OTHER) || \
	defined(OBJECT_PROCESS) || defined(OBJECT_SYSTEM) || defined(OBJECT_USER) || defined(OBJECT_WAIT)
#define SUBPROGRAM_array HERE
#else
#define SUBPROGRAM_array NOT_HERE
#endif

#if defined(OBJECT_IO_READ) || defined(OBJECT_IO_WRITE) || defined(OBJECT_IPC)
#define SUBPROGRAM_iov HERE
#else
#define SUBPROGRAM_iov NOT_HERE
#endif

#if defined(OBJECT_IO_READ) || defined(OBJECT_IO_WRITE) || defined(OBJECT_IO_OTHER)
#define SUBPROGRAM_iov_size HERE
#else
#define SUBPROGRAM_iov_size NOT_HERE
#endif

#if defined(OBJECT_IO_READ) || defined(OBJECT_IO_WRITE)
#define SUBPROGRAM_message HERE
#else
#define SUBPROGRAM_message NOT_HERE
#endif

#include "flavors.h"
#include "../abi/event.h"
#include "../abi/events_gen.h"
#include "../abi/version_gen.h"
#include "maps.h"
#include "read.h"
#include "arch.h"
#include "push.h"
#include "kernel.h"
#include "path.h"
#include "program.h"
#include "../fillers/all.h"
#include "subprog.h"
#include "tracepoint.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* What the object states of itself, in the form of modules. No loader reads it. */
const char modinfo[] SEC(".modinfo") = "name=scap\0"
					"schema_version=" SCAP_SCHEMA_VERSION "\0"
					"own_schema_version=" SCAP_OWN_SCHEMA_VERSION;

#endif
