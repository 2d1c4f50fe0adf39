// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"flag"
	"fmt"
	goconstant "go/constant"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// headerNames says where the kernel's headers list the values of a flag set: files, the names in them that belong to
// the set, and names among these that do not.
var headerNames = []struct {
	set, files, names, but string
}{
	{set: "open_flags", files: "asm-generic/fcntl.h", names: `O_\w+|FASYNC`, but: `O_ACCMODE|O_NDELAY`},
	{set: "flock_flags", files: "asm-generic/fcntl.h", names: `LOCK_\w+`},
	{set: "lseek_whence", files: "linux/fs.h", names: `SEEK_\w+`, but: `SEEK_MAX`},
	{set: "renameat2_flags", files: "linux/fs.h", names: `RENAME_\w+`},
	{set: "unlinkat_flags", files: "linux/fcntl.h", names: `AT_REMOVEDIR`},
	{set: "linkat_flags", files: "linux/fcntl.h", names: `AT_SYMLINK_FOLLOW|AT_EMPTY_PATH`},
	{set: "newfstatat_flags", files: "linux/fcntl.h", names: `AT_SYMLINK_NOFOLLOW|AT_NO_AUTOMOUNT|AT_EMPTY_PATH|AT_STATX_FORCE_SYNC|AT_STATX_DONT_SYNC`},
	{set: "fchownat_flags", files: "linux/fcntl.h", names: `AT_SYMLINK_\w+|AT_EMPTY_PATH`},
	{set: "execveat_flags", files: "linux/fcntl.h", names: `AT_SYMLINK_NOFOLLOW|AT_EMPTY_PATH|AT_EXECVE_\w+`},
	{set: "openat2_resolve", files: "linux/openat2.h", names: `RESOLVE_\w+`},
	{set: "mount_flags", files: "linux/mount.h", names: `MS_\w+`, but: `MS_VERBOSE|MS_RMT_MASK|MS_MGC_\w+`},
	{set: "fcntl_cmd", files: "linux/fcntl.h asm-generic/fcntl.h", names: `F_[A-Z0-9]+\w*`,
		but: `F_SEAL_\w+|F_OWNER_\w+|F_(RD|WR|UN|EX|SH)LCK|F_LINUX_SPECIFIC_BASE`},
	{set: "memfd_create_flags", files: "linux/memfd.h", names: `MFD_\w+`, but: `MFD_HUGE_\w+`}, // the page size is a number in the top bits
	{set: "close_range_flags", files: "linux/close_range.h", names: `CLOSE_RANGE_\w+`},
	{set: "fsconfig_cmd", files: "linux/mount.h", names: `FSCONFIG_\w+`},
	// each command is one of sixteen bits, and none is left for two commands
	{set: "quotactl_cmd", files: "linux/quota.h linux/dqblk_xfs.h", names: `Q_\w+`, but: `Q_XGETQSTATV|Q_XGETNEXTQUOTA`},
	{set: "quotactl_type", files: "linux/quota.h", names: `(USR|GRP|PRJ)QUOTA`},
	{set: "quotactl_fmt", files: "linux/quota.h", names: `QFMT_\w+`},
	{set: "sockopt_name", files: "asm-generic/socket.h", names: `SO_\w+`, but: `SO_\w+_OLD`},
	{set: "poll_events", files: "asm-generic/poll.h", names: `POLL[A-Z_]+`},
	{set: "futex_op", files: "linux/futex.h", names: `FUTEX_\w+`,
		but: `FUTEX_(CMD_MASK|\w+_PRIVATE|\w+_LIST64|(UNLOCK_PI|UNLOCK_WAKE|UNLOCK_BITSET)_LIST32|32|NO_NODE|WAITV_MAX|WAITERS|OWNER_DIED|TID_MASK|BITSET_MATCH_ANY)|FUTEX2_\w+|FUTEX_OP\w*`},
	// events have no bit left for flags added in 7.0 and later; the low byte of clone is a signal
	{set: "clone_flags", files: "linux/sched.h", names: `CLONE_\w+`, but: `CLONE_(DETACHED|AUTOREAP|PIDFD_AUTOKILL|EMPTY_MNTNS|ARGS_SIZE_\w+)`},
	{set: "prctl_option", files: "linux/prctl.h", names: `PR_\w+`,
		but: `PR_(UNALIGN|FPEMU|FP_EXC|TIMING|ENDIAN|TSC|FP_MODE|SPEC|MTE|PMLEN|SYS_DISPATCH|MDWE|SHADOW_STACK|THP_DISABLE)_\w+|PR_SET_MM_\w+|` +
			`PR_MCE_KILL_(CLEAR|SET|LATE|EARLY|DEFAULT)|PR_SET_PTRACER_ANY|PR_CAP_AMBIENT_\w+|PR_S[VM]E_(SET_VL_ONEXEC|VL_\w+)|PR_PAC_AP\w+|` +
			`PR_TAGGED_ADDR_ENABLE|PR_SCHED_CORE_\w+|PR_SET_VMA_\w+|PR_RISCV_(V_VSTATE|CTX|SCOPE)_\w+|PR_PPC_DEXCR_\w+|` +
			`PR_TIMER_CREATE_RESTORE_IDS_\w+|PR_FUTEX_HASH_\w+|PR_RSEQ_SLICE_EXT\w*_\w+|PR_CFI_\w+`},
	{set: "ptrace_request", files: "linux/ptrace.h", names: `PTRACE_\w+`,
		but: `PTRACE_(SYSCALL_INFO|EVENTMSG|PEEKSIGINFO|EVENT|O)_\w+`},
	{set: "rlimit_resource", files: "asm-generic/resource.h", names: `RLIMIT_\w+`},
	{set: "pidfd_open_flags", files: "linux/pidfd.h", names: `PIDFD_(NONBLOCK|THREAD)`},
	{set: "keyctl_operation", files: "linux/keyctl.h", names: `KEYCTL_\w+`, but: `KEYCTL_(SUPPORTS|CAPS\d)_\w+`},
	{set: "bpf_cmd", files: "linux/bpf.h", names: `BPF_(MAP|PROG|OBJ|RAW_TRACEPOINT|BTF|TASK|LINK|ENABLE|ITER|TOKEN)_[A-Z_]+`,
		but: `BPF_(MAP_TYPE|PROG_TYPE|LINK_TYPE|LINK_CREATE|TASK_ITER|PROG_INFO|ENABLE_STATS)_\w+|BPF_OBJ_NAME_LEN|BPF_ITER_(ORDER|LINK)_\w+`},
	{set: "prot_flags", files: "asm-generic/mman-common.h", names: `PROT_\w+`},
	{set: "mmap_flags", files: "linux/mman.h asm-generic/mman-common.h asm-generic/mman.h", names: `MAP_\w+`,
		but: `MAP_TYPE|MAP_FILE|MAP_HUGE_\w+`},
	{set: "mlock2_flags", files: "asm-generic/mman-common.h", names: `MLOCK_\w+`},
	{set: "mlockall_flags", files: "asm-generic/mman.h", names: `MCL_\w+`},
	{set: "semop_flags", files: "linux/sem.h linux/ipc.h", names: `SEM_UNDO|IPC_NOWAIT`},
	{set: "semget_flags", files: "linux/ipc.h", names: `IPC_(CREAT|EXCL)`},
	{set: "semctl_cmd", files: "linux/sem.h linux/ipc.h", names: `SEM_[A-Z_]+|IPC_(RMID|SET|STAT|INFO)|(GET|SET)[A-Z]+`, but: `SEM_UNDO`},
	{set: "finit_module_flags", files: "linux/module.h", names: `MODULE_INIT_\w+`},
	{set: "io_uring_setup_flags", files: "linux/io_uring.h", names: `IORING_SETUP_\w+`},
	{set: "io_uring_setup_feats", files: "linux/io_uring.h", names: `IORING_FEAT_\w+`},
	{set: "io_uring_enter_flags", files: "linux/io_uring.h", names: `IORING_ENTER_\w+`},
	{set: "io_uring_register_opcode", files: "linux/io_uring.h", names: `IORING_(UN)?REGISTER_\w+`,
		but: `IORING_REGISTER_(LAST|USE_REGISTERED_RING|FILES_SKIP|SRC_REGISTERED|DST_REPLACE)`},
	{set: "userfaultfd_flags", files: "linux/userfaultfd.h", names: `UFFD_USER_MODE_ONLY`},
	// only the kernel-internal header has all of them
	{set: "socket_family", files: "../linux/socket.h", names: `AF_\w+`, but: `AF_MAX`},
	{set: "sockopt_level", files: "../linux/socket.h", names: `SOL_\w+`},
}

// headerList has the series of the kernel that it is of in its first line, then a line for each name: set, name, value.
const headerList = "testdata/headers.txt"

// Each flag set of events has the values of the newest kernel's headers, so that no value is reported as another one.
func TestFlagSetsKnowWhatTheNewestKernelHas(t *testing.T) {
	m, err := newModel(mustLoad(t, filepath.Join(root, "tables")))
	require.NoError(t, err)
	text, err := os.ReadFile(headerList)
	require.NoError(t, err)
	// sets with a hand-written conversion: the sets that they are built from
	parts := map[string]string{"open_flags": "open_bits", "mmap_flags": "mmap_type mmap_bits"}
	listed := make(map[string]int)
	var missing []string
	_, lines, _ := strings.Cut(string(text), "\n")
	for line := range strings.Lines(lines) {
		var set, name string
		var value uint64
		_, err := fmt.Sscan(line, &set, &name, &value)
		require.NoError(t, err, line)
		listed[set]++
		natives := make(map[uint64]bool)
		for part := range strings.FieldsSeq(set + " " + parts[set]) {
			require.Contains(t, m.sets, part)
			for _, v := range m.sets[part].Values {
				if n, ok := nativeOf(v); ok {
					if n, ok := n.on("amd64"); ok {
						natives[n] = true
					}
				}
				if v.Name == name || "MS_"+v.Name == name {
					natives[value] = true
				}
			}
		}
		known := natives[value]
		if set == "open_flags" && value <= 2 || value == 0 { // the access mode, and the absence of flags
			known = true
		}
		if !known {
			missing = append(missing, fmt.Sprintf("%s: %s %#x", set, name, value))
		}
	}
	require.Empty(t, missing, "flags.yaml lacks them")
	for _, h := range headerNames {
		require.Positive(t, listed[h.set], h.set)
	}
	for _, s := range m.table.Flags {
		used := slices.ContainsFunc(headerNames, func(h struct{ set, files, names, but string }) bool { return h.set == s.Name })
		require.True(t, used || headersOfNone[s.Name] != "", "%s: headerNames does not say which header has its names", s.Name)
	}
}

// headersOfNone has the reasons why other sets are not compared with a header.
var headersOfNone = map[string]string{
	"open_bits": "part of open_flags", "fd_flags": "open flags", "pipe2_flags": "open flags", "dup3_flags": "open flags",
	"timerfd_flags": "open flags", "delete_module_flags": "open flags", "epoll_create1_flags": "open flags",
	"mmap_type": "part of mmap_flags", "mmap_bits": "part of mmap_flags",
	"access_flags": "of the C library", "creat_flags": "of events only", "execve_flags": "of events only", "pf_flags": "of the processor", "anon_inode_type": "of events only",
	"chmod_mode": "of the C library", "mknod_mode": "of the C library", "umount_flags": "inside the kernel", "splice_flags": "inside the kernel",
	"shutdown_how": "inside the kernel", "quotactl_dqi_flags": "of events only",
}

// The list has the names of the newest kernel's headers, if these are installed (make kmod fetches them).
func TestTheListOfHeaderNamesIsThatOfTheNewestKernel(t *testing.T) {
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	trees, err := filepath.Glob(filepath.Join(cache, "scaplab/headers/*/usr/src/linux-headers-*-common/include/uapi"))
	require.NoError(t, err)
	slices.SortFunc(trees, func(a, b string) int { return slices.Compare(treeVersion(a), treeVersion(b)) })
	if len(trees) == 0 {
		t.Skip("the headers of no kernel are there (make kmod fetches them)")
	}
	newest := trees[len(trees)-1]
	text, err := os.ReadFile(headerList)
	require.NoError(t, err)
	series, _, _ := strings.Cut(string(text), "\n")
	if slices.Compare(treeVersion(newest)[:2], treeVersion("linux-headers-"+series)) < 0 {
		t.Skipf("the headers of %s are not there (make kmod fetches them)", series)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d.%d\n", treeVersion(newest)[0], treeVersion(newest)[1])
	for _, h := range headerNames {
		defs := make(map[string]string)
		var names []string
		for file := range strings.FieldsSeq(h.files) {
			src, err := os.ReadFile(filepath.Join(newest, file))
			require.NoError(t, err)
			for _, d := range definitions(string(src)) {
				if defs[d.name] == "" {
					names = append(names, d.name)
				}
				defs[d.name] = d.value
			}
		}
		for _, extra := range []string{"asm-generic/fcntl.h"} {
			src, err := os.ReadFile(filepath.Join(newest, extra))
			require.NoError(t, err)
			for _, d := range definitions(string(src)) {
				if defs[d.name] == "" {
					defs[d.name] = d.value
				}
			}
		}
		want, but := regexp.MustCompile("^("+h.names+")$"), regexp.MustCompile("^("+h.but+")$")
		for _, name := range names {
			if !want.MatchString(name) || but.MatchString(name) {
				continue
			}
			if v, ok := evaluate(name, defs); ok {
				fmt.Fprintf(&b, "%s %s %d\n", h.set, name, v)
			}
		}
	}
	if flag.Lookup("update").Value.String() == "true" {
		require.NoError(t, os.WriteFile(headerList, []byte(b.String()), 0o644))
		return
	}
	require.Equal(t, string(text), b.String(), "%s is stale: go test ./gen -run '^%s$' -update", headerList, t.Name())
}

// treeVersion returns the numbers of the version in a name such as linux-headers-7.3.4+deb13-common.
func treeVersion(dir string) []int {
	_, version, _ := strings.Cut(dir, "linux-headers-")
	version, _, _ = strings.Cut(version, "/")
	var out []int
	for _, n := range regexp.MustCompile(`\d+`).FindAllString(version, -1) {
		v, _ := strconv.Atoi(n)
		out = append(out, v)
	}
	return out
}

type definition struct{ name, value string }

var (
	headerComment = regexp.MustCompile(`(?s)/\*.*?\*/|//[^\n]*`)
	headerDefine  = regexp.MustCompile(`^\s*#\s*define\s+([A-Z_]\w*)\s+(.+?)\s*$`)
	headerEnum    = regexp.MustCompile(`(?s)enum(?:\s+\w+)?\s*\{(.*?)\}`)
	numberSuffix  = regexp.MustCompile(`\b(0[xX][0-9a-fA-F]+|\d+)[uUlL]+\b`)
	headerWord    = regexp.MustCompile(`\b[A-Za-z_]\w*\b`)
)

// definitions returns the macros without arguments and the enumerators of a header, in order.
func definitions(src string) (out []definition) {
	src = headerComment.ReplaceAllString(src, " ")
	src = strings.ReplaceAll(src, "\\\n", " ")
	for line := range strings.Lines(src) {
		if m := headerDefine.FindStringSubmatch(line); m != nil {
			out = append(out, definition{m[1], m[2]})
		}
	}
	for _, body := range headerEnum.FindAllStringSubmatch(src, -1) {
		last := "-1"
		for item := range strings.SplitSeq(body[1], ",") {
			name, value, set := strings.Cut(strings.TrimSpace(item), "=")
			name = strings.TrimSpace(name)
			if !regexp.MustCompile(`^[A-Z_]\w*$`).MatchString(name) {
				continue
			}
			if value = strings.TrimSpace(value); !set {
				value = last + " + 1"
			}
			out = append(out, definition{name, value})
			last = "(" + value + ")"
		}
	}
	return out
}

// evaluate returns the number of a name.
func evaluate(name string, defs map[string]string) (uint64, bool) {
	text := name
	for range 50 {
		text = strings.ReplaceAll(text, "(__force __poll_t)", "")
		text = strings.ReplaceAll(text, "XQM_CMD", "('X'<<8)+")
		text = numberSuffix.ReplaceAllString(text, "$1")
		before := text
		text = headerWord.ReplaceAllStringFunc(text, func(w string) string {
			if v := defs[w]; v != "" {
				return "(" + v + ")"
			}
			return w
		})
		if text == before {
			break
		}
	}
	v, err := types.Eval(token.NewFileSet(), nil, token.NoPos, strings.ReplaceAll(text, "~", "^"))
	if err != nil || v.Value == nil {
		return 0, false
	}
	n := goconstant.ToInt(v.Value)
	if i, ok := goconstant.Int64Val(n); ok {
		return uint64(i), true
	}
	return goconstant.Uint64Val(n)
}
