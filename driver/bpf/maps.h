/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The maps that user space and the programs of all objects share. Each object has
 * these definitions, and the loader makes one map of them. It also sets the sizes
 * that are 1 here.
 */
#ifndef SCAP_BPF_MAPS_H
#define SCAP_BPF_MAPS_H

#define SCRATCH_SIZE (2 * EVENT_MAX)

/* A ring of our own consists of segments: 4 MiB is the largest value of an array before 6.5. */
#define SEGMENT_SHIFT 22
#define SEGMENT_SIZE  (1 << SEGMENT_SHIFT)
/* No event starts nearer to the end of a segment. */
#define SEGMENT_ROOM (2 * EVENT_MAX + 4 * TMP_SIZE)

/* A data section is a map. Initialized variables are laid out as written here, so each object has the same map. */
#define SHARED_CONST SEC(".rodata.shared") const volatile
#define SHARED	     SEC(".data.shared")

/*
 * Set before loading and constant for the verifier, which removes the code that
 * does not apply.
 */
SHARED_CONST bool btf_tp = true;   /* tracepoint arguments are typed (tp_btf), else raw */
SHARED_CONST bool perf_tp = false; /* perf calls the dispatchers, see call_regs() */
SHARED_CONST bool may_preempt = false; /* tracepoints call programs with preemption on, see quiet() */
SHARED_CONST bool guard = false;   /* disable preemption while an event is built, see quiet() */
SHARED_CONST u32 page_shift = 12;  /* of the running kernel */
SHARED_CONST u32 counted_cpus = 0; /* possible CPUs, 0 if they are too many to add up what they count, see cpus_pages() */
SHARED_CONST bool in_place = false; /* events are built in rings of our own, see struct segment */
SHARED_CONST u64 ring_size = 0;	    /* of these, a power of two of segments */

/* Settings that may change while programs run. */
struct config {
	u64 boot_offset;    /* ns to add to the boot clock to get time since the epoch */
	u32 snaplen;	    /* bytes of payload, <= SNAPLEN_MAX */
	u32 sampling_ratio; /* dropping mode keeps the first 1/ratio of each second */
	u32 wake_bytes;	    /* wake the readers of a ring once per so many bytes of a CPU; 0: never */
	u16 full_port_first, full_port_last; /* dynamic snaplen: ports captured at length; 0, 0: none */
	u16 statsd_port;
	u8 slow;	/* any of the three below is on */
	u8 dropping;	/* dropping mode */
	u8 drop_failed; /* no exit events of failed syscalls */
	u8 dynamic_snaplen;
	u8 pad[6];
};

SHARED struct config settings = {};
/* A zero that the verifier does not know: a value made from it is the same unknown on every path. */
SHARED u32 always_zero = 0;

/* Counts of one CPU's events, written by that CPU only. seen is the sum of the others. */
struct counters {
	u64 seen;
	u64 delivered;
	u64 drop_buffer;     /* ring full */
	u64 drop_too_large;  /* event above EVENT_MAX */
	u64 drop_scratch;    /* scratch, or the entry of a call, in use by the event that this one interrupted */
	u64 drop_no_program; /* no program for the event (refused by the kernel) */
	u64 drop_no_ring;    /* no ring for the CPU */
	u64 drop_messages;   /* message of a call that has more than MMSG_EVENTS */
};

/*
 * How the arguments of the syscall reach the program that is tail-called: in registers, or in
 * the CPU's entry. Where other tasks can run in between, see parted in program.h, the entry is
 * claimed, and the kind is the number of those who want it.
 */
enum call_kind { CALL_NATIVE = 0, CALL_FOREIGN = 1 };

struct cpu {
	struct counters events;	     /* programs that cannot interrupt each other */
	struct counters page_faults; /* these interrupt any other, also each other */
	u64 arg[6];		     /* arguments of a call that is not CALL_NATIVE */
	u64 call_pid_tgid;	     /* whose call it is */
	u32 call_kind;
	u32 call_nr;	  /* its place in the tables by call */
	u64 head;	  /* of the ring of our own: grows only; events before it are complete */
	u32 unwoken;	  /* bytes since the last wake-up */
	u32 scratch_busy; /* an event is being built, in scratch or at head */
	u32 call_number;  /* as the task passed it */
	u32 call_layout;  /* of its structs in user memory */
	u64 pad[5];
	u64 tail; /* the reader's position: it has read what is before */
	u64 tail_pad[7];
};

struct scratch {
	u8 data[SCRATCH_SIZE]; /* twice the largest event: a write at any 16-bit offset stays inside */
	u8 tmp[2 * TMP_SIZE];  /* twice TMP_SIZE likewise: for a param that is built before it is appended, such as a path */
	u32 forgotten;	       /* see forget() */
};

/*
 * A ring of our own belongs to one CPU, and to one program at a time (scratch_busy). Each
 * event is built at its place, and head moves past it when it is complete. Positions
 * only grow; modulo the ring's size they are places in it. An event starts at a
 * multiple of 8, and SEGMENT_ROOM before the end of its segment or earlier: from
 * there on a position means the start of the next segment. So an event and all that
 * may be written while it is built, struct scratch, are in one segment.
 */
struct segment {
	u8 bytes[SEGMENT_SIZE];
};

struct own_ring {
	map_uint(type, BPF_MAP_TYPE_ARRAY);
	map_uint(max_entries, 1);
	map_uint(map_flags, BPF_F_MMAPABLE);
	map_type(key, u32);
	map_uint(value_size, sizeof(struct segment)); /* a type would be known by name only */
};

struct {
	map_uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	map_type(key, u32);
	map_uint(max_entries, 1);
	map_array(values, struct own_ring);
} own_rings SEC(".maps");

/* Has no events: a record here wakes the reader of the rings of our own. */
struct {
	map_uint(type, BPF_MAP_TYPE_RINGBUF);
	map_uint(max_entries, 4096);
} waker SEC(".maps");

struct ring {
	map_uint(type, BPF_MAP_TYPE_RINGBUF);
	map_uint(max_entries, 4096);
};

struct {
	map_uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	map_type(key, u32);
	map_uint(max_entries, 1);
	map_array(values, struct ring);
} rings SEC(".maps");

struct {
	map_uint(type, BPF_MAP_TYPE_ARRAY);
	map_uint(max_entries, 1);
	map_uint(map_flags, BPF_F_MMAPABLE);
	map_type(key, u32);
	map_type(value, struct cpu);
} cpus SEC(".maps");

struct {
	map_uint(type, BPF_MAP_TYPE_ARRAY);
	map_uint(max_entries, 1);
	map_type(key, u32);
	map_type(value, struct scratch);
} scratch SEC(".maps");

/* A value whose addresses tell where the memory of each CPU is. */
struct {
	map_uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	map_uint(max_entries, 1);
	map_type(key, u32);
	map_type(value, u64);
} percpu_memory SEC(".maps");

/* The place of a position in a CPU's ring of our own; NULL if it has none, or no event can start there. */
static __always_inline struct scratch *place_at(u32 id, u64 position)
{
	u32 segment = (position & (ring_size - 1)) >> SEGMENT_SHIFT;
	u32 offset = position & (SEGMENT_SIZE - 1);
	void *ring = bpf_map_lookup_elem(&own_rings, &id);
	struct segment *s;

	_Static_assert(sizeof(struct scratch) <= SEGMENT_ROOM, "an event can outgrow its segment");
	if (!ring)
		return NULL;
	s = bpf_map_lookup_elem(ring, &segment);
	opaque(offset);
	if (!s || offset > SEGMENT_SIZE - SEGMENT_ROOM)
		return NULL;
	return (struct scratch *)&s->bytes[offset];
}

/* Flags of each clone3 until it returns, by thread id: of the caller and of the new thread. See keep_task_newtask. */
struct {
	map_uint(type, BPF_MAP_TYPE_LRU_HASH);
	map_uint(max_entries, 16384);
	map_type(key, u32);
	map_type(value, u64);
} clone3_flags_kept SEC(".maps");

/* An index below SYSCALLS, bounded in a way that the verifier follows. */
static __always_inline u32 table_index(u32 nr)
{
	opaque(nr);
	return nr & (SYSCALLS - 1);
}

/* The same for tables of any power of two. */
#define BOUNDED(index, size)           \
	({                             \
		u32 i_ = (index);      \
		opaque(i_);            \
		i_ & ((size) - 1);     \
	})

struct filler;

static __always_inline u32 setting_snaplen(struct filler *f)
{
	return settings.snaplen;
}

static __always_inline u32 setting_ratio(struct filler *f)
{
	return settings.sampling_ratio;
}

static __always_inline bool setting_dynamic_snaplen(struct filler *f)
{
	return settings.dynamic_snaplen;
}

static __always_inline u16 setting_full_port_first(struct filler *f)
{
	return settings.full_port_first;
}

static __always_inline u16 setting_full_port_last(struct filler *f)
{
	return settings.full_port_last;
}

static __always_inline u16 setting_statsd_port(struct filler *f)
{
	return settings.statsd_port;
}

extern const volatile u16 syscall_code[SYSCALLS]; /* in core.bpf.c */

/* The code that a generic event has for a native number. */
static __always_inline u16 syscall_id_of(u32 nr)
{
	return syscall_code[table_index(nr)];
}

static __always_inline u32 this_cpu(struct filler *f)
{
	return bpf_get_smp_processor_id();
}

#endif
