// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package main

import "github.com/scaplab/scaplab/vmtest"

// wanted is an event that a capture of the workload must have.
type wanted struct {
	TID    int64
	Event  string   // as sysdig names it
	Params []string // name and value in turn, as text: not all that the event has
	FDName string   // what a client with state says of the event's descriptor; "": not asked
}

// account is the workload's report of its calls.
type account struct {
	PID, TID, Child int64
	Wanted          []wanted // in the order of each thread
}

// record is an event as a client delivered it.
type record struct {
	CPU   int
	Bytes []byte
}

// leg is the result of one module's capture.
type leg struct {
	Name          string
	API, Schema   string
	Module        string // the module's text about itself
	Account       account
	Lines         string         // what sysdig printed
	Saved         []byte         // what it wrote
	Talk          string         // its standard error
	Records       []record       // what our client read
	Seen, Dropped uint64         // of our client
	busy          map[int64]bool // threads whose events do not count
	Err           string         // why the leg is incomplete
}

// results are a machine's results.
type results struct {
	Refused string // what sysdig says to our module's default versions
	Legs    []leg
	Scored  *scored // the cases of the table, recorded by sysdig; nil without the reference's module
	Log     string  // of the kernel
	Err     string
}

// scored is the score of what sysdig recorded of the table's cases.
type scored struct {
	Score      vmtest.Score
	Deviations []string // that are defects
	Err        string
}

// The marks around each encoded piece of the results on the console.
const (
	lineMark = "INTEROP "
	lineEnd  = "INTEROP END"
)

// format is sysdig's for a line of an event.
const format = "*%evt.num\t%evt.cpu\t%thread.tid\t%proc.name\t%evt.dir\t%evt.type\t%fd.name\t%evt.args"

// The machine finds these in its root directory.
const (
	treeFile      = "tree.tar"
	referenceFile = "reference.ko"
)
