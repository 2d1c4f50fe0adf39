// SPDX-License-Identifier: Apache-2.0

// Package sinsp keeps the state of a system as its events change it: threads, their
// open files, users, containers.
//
//	in := sinsp.New(src, sinsp.Options{})
//	for {
//		ev, err := in.Next()
//		if errors.Is(err, io.EOF) {
//			break
//		}
//		...
//		fmt.Println(ev.Num, ev.Thread.Comm, ev.Type())
//	}
//
// An [Inspector] begins with the state that a capture or a scan of /proc tells, reads
// the events of any scap.Source and changes the state by each. Fields, filters and
// output are packages below this one.
//
// The table names for each event the reducer that handles it, and the params that the
// reducer gets. The generator makes from it the interface [Reducers], one method per
// reducer with typed arguments, and the code of [Reduce], which decodes an event and
// calls its method. The methods themselves are written by hand, in reduce_*.go.
//
// # What is modelled
//
// The state follows the kernel: threads of a process share what [Process] has, threads
// and processes may share descriptors (CLONE_FILES) and directories (CLONE_FS), and
// descriptors, also of several processes, may refer to the same file, [FD]. Paths are
// those that the calls were given, made absolute; symbolic links are not followed.
//
// # Loss
//
// Events may be lost, and a capture may begin at any time. The state then lacks
// something, or has something too long, and events repair it: a new thread replaces one
// with its id, a new descriptor one with its number, execve and clone tell what the
// thread is. [Stats] counts how often that happened.
//
// The call that makes a child does not say which thread the child is if a pid namespace is
// between. What the child inherits is kept, for 10 s and 1024 children at most, until its
// own event comes.
//
// # Memory
//
// Whatever a source delivers, [Limits] bound the memory. Objects of threads and files
// that are gone are used again, so that a state that does not grow needs no allocation.
package sinsp
