/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* An event as both drivers write it: header, the u16 length of each param, params without padding. */
#ifndef SCAP_ABI_EVENT_H
#define SCAP_ABI_EVENT_H

#include "limits_gen.h"

#define SCAP_SCHEMA 1 /* of the generated files, see gen.Schema */

struct event_header {
	u64 ts;	     /* ns since the epoch */
	u64 tid;     /* thread id in the initial pid namespace */
	u32 len;     /* bytes of the whole event, header included */
	u16 type;    /* event code: even enter, odd exit */
	u32 nparams; /* lengths that follow */
} __attribute__((packed));

#define HEADER_HAS(field, offset) \
	_Static_assert(__builtin_offsetof(struct event_header, field) == (offset), #field)
HEADER_HAS(ts, EVENT_TS);
HEADER_HAS(tid, EVENT_TID);
HEADER_HAS(len, EVENT_LEN);
HEADER_HAS(type, EVENT_TYPE);
HEADER_HAS(nparams, EVENT_NPARAMS);
_Static_assert(sizeof(struct event_header) == EVENT_HEADER_SIZE, "header");
#undef HEADER_HAS

#define MMSG_EVENTS 16 /* messages of a call that get an event each */
#define TMP_SIZE 4096 /* bytes of scratch memory in which a filler builds a param */

/*
 * What is cut says so. A path of the kernel's that has too many names, or outgrows STRING_MAX,
 * is told by its last names, behind CUT_MARK: whole ones begin with a slash. The caller's
 * strings, and lists of them, are cut at STRING_MAX, and then CUT_MARK is their end.
 */
#define PATH_NAMES	96 /* of a file */
#define CGROUP_NAMES	15 /* of a cgroup: as many names as always fit in TMP_SIZE */
#define CUT_MARK	"..."
#define CUT_MARK_LEN	3
#define CUT_MARK_STRING 0x2e2e2e /* with its NUL, as a number */

/* The offset of the first param in an event with n params. */
#define EVENT_PAYLOAD(n) (EVENT_HEADER_SIZE + 2 * (n))

#endif
