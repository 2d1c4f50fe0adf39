// SPDX-License-Identifier: Apache-2.0

package tabledraft

import "regexp"

// What follows from the names and types that the kernel gives to arguments. A rule is about names
// of arguments, C types, or families of calls, which the kernel names alike; none is about one call.
// What other entries of the table do comes first where it is known: see like.go.

// rename is another name that the table has for an argument of the kernel.
type rename struct {
	typ  *regexp.Regexp // C type, as normal writes it
	name *regexp.Regexp
	prev *regexp.Regexp // the kernel's name of the argument before it; nil: any or none
	to   string         // with $1 for a group
	why  string
}

var renames = []rename{
	{re(`.*`), re(`_+(\w+)`), nil, "$1", "an underscore keeps the kernel's own variable apart"},
	{re(`.*\*`), re(`u_(\w+)`), nil, "$1", "u_ says that the pointer is the user's"},
	{re(`.*\*`), re(`u(fds|name|times)`), nil, "$1", "u says that the pointer is the user's"},
	{re(`int|unsigned int`), re(`ufd`), nil, "fd", "u says that the descriptor is the user's"},
	{re(`int|unsigned int`), re(`(|old|new|from_|to_)dfd`), nil, "${1}dirfd", "manual pages and most entries say dirfd"},
	{re(`(const )?char \*`), re(`filename|specialfile`), nil, "path", "most entries say path"},
	{re(`const char \*`), re(`(old|new)name`), nil, "${1}path", "manual pages and all entries with both say so"},
	{re(`int|unsigned int`), re(`flag`), nil, "flags", "the word of all entries"},
	{re(`uid_t`), re(`user`), nil, "uid", "the word of all entries"},
	{re(`gid_t`), re(`group`), nil, "gid", "the word of all entries"},
	{re(`clockid_t`), re(`which_clock`), nil, "clockid", "the word of all entries"},
	{re(`timer_t`), re(`timer_id`), nil, "timerid", "the word of all entries"},
	{re(`(int|unsigned int|unsigned|u32|u64|s32|size_t|loff_t|long|unsigned long|uid_t|gid_t|pid_t) \*`), re(`(\w{3,}?)(?:_ptr|p)`), nil, "$1",
		"a pointer to a number: the event has the number"},
	{re(`size_t`), re(`len|len_in`), re(`start|addr`), "length", "manual pages of memory, and most entries, say addr and length"},
	{re(`int`), re(`behavior`), nil, "advice", "the word of the set of values"},
	{re(`unsigned long`), re(`start`), nil, "addr", "a range of memory begins at its address: most entries say addr"},
}

// role is what an argument is for.
type role string

const (
	fd       role = "fd"       // a descriptor
	dirfd    role = "dirfd"    // a directory where the path after it begins, or AT_FDCWD
	path     role = "path"     // a path
	text     role = "text"     // another string
	pid      role = "pid"      // a process or thread
	uid      role = "uid"      // a user
	gid      role = "gid"      // a group
	mode     role = "mode"     // permissions
	signal   role = "signal"   // the number of a signal
	flags    role = "flags"    // bits with names
	choice   role = "choice"   // a number with a name
	address  role = "address"  // a number that is an address
	data     role = "data"     // bytes, as many as the next argument says
	result   role = "result"   // bytes that the call writes: it returns how many
	socket   role = "sockaddr" // a socket address, with the next argument its length
	number   role = "number"   // a number
	out      role = "out"      // a pointer to one number, which the call writes
	in       role = "in"       // a pointer to one number, which the call reads
	object   role = "object"   // a pointer to a struct
	pointer  role = "pointer"  // a pointer to something unknown
	array    role = "array"    // a pointer to numbers that the call writes: it returns how many
	readTime role = "time"     // a pointer to a time
)

// rule says what an argument is for.
type rule struct {
	is   role
	typ  *regexp.Regexp // C type, as normal writes it
	name *regexp.Regexp // in the table's words
	next *regexp.Regexp // type and name of the argument after it; nil: any or none
	prev *regexp.Regexp // the argument before it
	why  string
}

const (
	anyInt = `int|unsigned int|unsigned|u32|s32|__u32|__s32`
	length = `(?:size_t|int|unsigned int|unsigned long|u32|unsigned) \w*(?:len|size|count|siz|bytes|sz)\w*`
)

// rules are tried in order: the first that fits an argument says what it is for.
var rules = []rule{
	{dirfd, re(anyInt), re(`(\w*_|old|new)?d(ir)?fd`), re(`const char \* ?\w*`), nil, "a path is relative to the directory before it"},
	{dirfd, re(anyInt), re(`\w*dirfd`), nil, nil, "dirfd may be AT_FDCWD wherever it stands"},
	{fd, re(anyInt + `|unsigned long`), re(`\w*fd|fd_\w+|fd(in|out)|fildes`), nil, nil, "descriptors are called fd"},
	{fd, re(`mqd_t`), re(`\w+`), nil, nil, "a message queue is a descriptor on Linux"},
	{pid, re(`pid_t|int|long`), re(`\w*pid\d?|tid`), nil, nil, "processes are called pid"},
	{uid, re(`uid_t`), re(`\w+`), nil, nil, "the type says it"},
	{gid, re(`gid_t`), re(`\w+`), nil, nil, "the type says it"},
	{mode, re(`umode_t|mode_t`), re(`\w+`), nil, nil, "the type says it"},
	{signal, re(`int`), re(`sig|signum|signo`), nil, nil, "signals are called sig"},
	{socket, re(`struct sockaddr \*`), re(`\w+`), re(`int \w*len`), nil, "sockets' addresses come with their length"},
	{path, re(`const char \*`), re(`\w+`), nil, re(`(` + anyInt + `) (\w*_|old|new)?d(ir)?fd`), "a path is relative to the directory before it"},
	{text, re(`const char \*`), re(`name`), nil, nil, "a name alone names an attribute, a queue, a type"},
	{path, re(`(const )?char \*`), re(`\w*(path|file|root|dir)\w*|put_old`), nil, nil, "paths are called so"},
	{path, re(`const char \*`), re(`special`), nil, nil, "a special file is a device"},
	{data, re(`const (void|char) \*`), re(`\w+`), re(length), nil, "a buffer comes with its length, and const says that it is read"},
	{result, re(`(void|char) \*`), re(`\w+`), re(length), nil, "a buffer that is not const is written, and the call returns how much"},
	{address, re(`char \*`), re(`\w*addr`), nil, nil, "an address in spite of its type"},
	{text, re(`(const )?char \*`), re(`\w+`), nil, nil, "other pointers to char are strings"},
	{flags, re(anyInt + `|unsigned long|rwf_t|u64|__u64`), re(`\w*flags|\w*flag|\w*flg|mask|mode|options|prot`), nil, nil, "bits are called flags, mask, options, prot"},
	{choice, re(anyInt + `|long|clockid_t|enum \w+`), re(`cmd|op|opcode|option|which|how|type|\w+_type|advice|policy|resource|clockid|level|whence|func|who|request|attr|code|operation|family|domain`), nil, nil,
		"a number that selects is called so"},
	{choice, re(`enum \w+`), re(`\w+`), nil, nil, "the type says it"},
	{address, re(`unsigned long`), re(`\w*addr(ess)?|entry|arg`), nil, nil, "addresses and untyped arguments are read in hex"},
	{address, re(`key_t`), re(`\w+`), nil, nil, "keys of System V IPC are read in hex"},
	{pointer, re(`(const )?(cap_user_\w+|__sighandler_t)`), re(`\w+`), nil, nil, "types that are pointers"},
	{number, re(`[^*]+`), re(`\w+`), nil, nil, "other numbers"},
	{readTime, re(`(const )?struct (\w*_)?time(spec|val) \*`), re(`\w+`), nil, nil, "the type says it"},
	{array, re(`u64 \*`), re(`\w+`), re(`(size_t|` + anyInt + `) (nr|count|num)\w*`), nil, "numbers come with their count, and the call returns how many it wrote"},
	{in, re(`const (` + numberTypes + `) \*`), re(`\w+`), nil, nil, "a pointer to a number that is const: the call reads it"},
	{out, re(`(` + numberTypes + `) \*`), re(`\w+`), nil, nil, "a pointer to a number that is not const: the call writes it"},
	{object, re(`(const )?(struct|union) \w+ \*|(const )?\w+_t \*`), re(`\w+`), nil, nil, "pointers to structs"},
	{pointer, re(`.*\*.*`), re(`\w+`), nil, nil, "other pointers"},
}

const numberTypes = `int|unsigned int|unsigned|u32|u64|s32|s64|long|unsigned long|size_t|loff_t|off_t|uid_t|gid_t|pid_t|timer_t|aio_context_t`

// outcome is what calls of a family return. The kernel says it nowhere; their names do.
type outcome struct {
	call  *regexp.Regexp
	param string // name of the first param
	typ   string
	show  string
	why   string
}

var outcomes = []outcome{
	{re(`open\w*|\w+_open|creat|socket|accept\d?|fs(open|mount|pick)|memfd_\w+|pidfd_getfd|\w+_init1?`), "fd", "fd", "", "calls that open something, or make a descriptor of it"},
	{re(`\w+[^_]fd\d?|\w+fd_create|dup\d?|epoll_create1?`), "fd", "fd", "", "calls that are named after the descriptor that they make"},
	{re(`getpgid|[gs]etsid|wait(\d|pid)|v?fork|clone\d?`), "res", "pid", "", "calls that return a process, or why not"},
	{re(`get(p?id|tid|pgrp)`), "pid", "pid", "", "calls that return a process, and do not fail"},
	{re(`m(re)?map|map_\w+`), "res", "errno", "hex", "calls that map return an address"},
	{re(`.*`), "res", "errno", "", "0, a count, or a negated errno"},
}

var (
	// Structs that are not const are written by calls whose names say that they get something, and read by others.
	getters = re(`\w*(get|stat|info|uname|times|wait(p?id|\d)|recv|pending)\w*`)
	// A range, a request and arguments are read, whatever the call is called.
	requests = re(`\w*(range|req|how|args)`)
	// Times are read, except by calls with get in their name: most calls take a timeout.
	times   = re(`(const )?struct \w*time(spec|val)\w* \*`)
	getTime = re(`\w*get\w*`)
	// Times since the epoch, or of another clock, are called so; others are lengths.
	absolute = re(`abs_\w+|tp|tv|\w*times`)
	// Of a length of 0 calls often want nothing to do.
	sizes   = re(`len|length|size|count|nr|nbytes`)
	padding = re(`_\w*|\w*(reserved|spare|pad|unused|resv|__)\w*`)
)

// re is a pattern for a whole text.
func re(pattern string) *regexp.Regexp { return regexp.MustCompile(`^(?:` + pattern + `)$`) }
