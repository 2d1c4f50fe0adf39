// SPDX-License-Identifier: Apache-2.0

package guest

// A machine that CommandArgument is given to runs one command instead of cases. It says Hello and answers KindPing. The host
// sends a tar archive in parts, KindFiles, of which the last one is empty; the machine unpacks it in / and answers Done. Then
// the host sends KindCommand. The machine sends what the command writes, KindStdout and KindStderr, asks with KindMore for
// each KindStdin, and ends with KindExit. After that the host asks for files with KindFetch, and ends the machine with
// KindQuit.
const (
	KindFiles   = "files"   // bytes of an archive, in both directions
	KindCommand = "command" // Command
	KindStdin   = "stdin"   // bytes; none at the end
	KindFetch   = "fetch"   // Fetch; the answer is Fetched, and then KindFiles

	KindFetched = "fetched" // Fetched
	KindStdout  = "stdout"  // bytes
	KindStderr  = "stderr"  // bytes
	KindMore    = "more"    // no value: the command can read more of its standard input
	KindExit    = "exit"    // Exit
)

// CommandArgument on a kernel's command line makes the guest run commands.
const CommandArgument = "scaplab_commands=1"

// Command is a program to run.
type Command struct {
	Args  []string `json:"args"`  // the program, a path in the machine or a name to look up in its PATH, and its arguments
	Env   []string `json:"env"`   // the whole environment
	Dir   string   `json:"dir"`   // working directory, which is made
	Stdin bool     `json:"stdin"` // whether it has a standard input; otherwise that is /dev/null
	Seed  []byte   `json:"seed"`  // for the kernel's random numbers: machines that were restored from one state must differ
}

// Exit says how a command ended.
type Exit struct {
	Code   int    `json:"code"`             // exit status; 126 and 127 of a program that was not started, as a shell has them
	Signal int    `json:"signal,omitempty"` // that ended it; Code means nothing then
	Error  string `json:"error,omitempty"`  // why it was not started
}

// Fetch requests a file or the content of a directory.
type Fetch struct {
	Path string `json:"path"`
}

// Fetched says what follows. If neither Dir nor Missing nor Error is set, it is an archive of one file.
type Fetched struct {
	Dir     bool   `json:"dir,omitempty"`
	Missing bool   `json:"missing,omitempty"` // there is no such file
	Error   string `json:"error,omitempty"`
}
