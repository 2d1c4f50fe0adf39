/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The event as both drivers write it: header, u16 length of each param, params without padding. */
#ifndef SCAP_ABI_EVENT_H
#define SCAP_ABI_EVENT_H

#define SCAP_SCHEMA 1 /* of the generated files, see gen.Schema */

struct event_header {
	u64 ts;	     /* ns since the epoch */
	u64 tid;     /* thread id in the initial pid namespace */
	u32 len;     /* bytes of the whole event, header included */
	u16 type;    /* event code: even enter, odd exit */
	u32 nparams; /* lengths that follow */
} __attribute__((packed));

#define EVENT_HEADER_SIZE 26
#define EVENT_MAX	  65536 /* a longer event is dropped and counted */
#define PARAM_MAX	  65000 /* bytes of one param: the kernel module's limit, kept by both drivers */
#define STRING_MAX	  4096	/* bytes of one string with its NUL; longer ones are cut */
#define SNAPLEN_DEFAULT	  80	/* bytes of I/O payload, see settings */
#define SNAPLEN_MAX	  65000

/* Where the params of an event with n of them start. */
#define EVENT_PAYLOAD(n) (EVENT_HEADER_SIZE + 2 * (n))

#define AT_FDCWD_EVENT (-100) /* the working directory, whatever the native value is */

/* The first byte of a DYN param: which type of its table the value has. */
enum sockopt_dyn { SOCKOPT_DYN_BYTES, SOCKOPT_DYN_ERRNO, SOCKOPT_DYN_U32, SOCKOPT_DYN_U64, SOCKOPT_DYN_TIME };
enum ptrace_dyn { PTRACE_DYN_U64, PTRACE_DYN_SIGNAL };
enum keyctl_dyn { KEYCTL_DYN_S64, KEYCTL_DYN_STRING };

#endif
