// SPDX-License-Identifier: Apache-2.0

package event

// schema is the layout of table_gen.go and decode_gen.go that the rest of this
// package is written for; they do not compile beside another one.
const schema = 1

// What events are compatible with: the reference schema, whose are all codes below
// FirstOwn, and the interface of its kernel module. tables/schema.lock has them too.
const (
	SchemaVersion = "4.5.2"
	APIVersion    = "10.1.0"
)
