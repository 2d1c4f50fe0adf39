// SPDX-License-Identifier: Apache-2.0

package event

// schema is the layout of table_gen.go and decode_gen.go that the rest of this
// package is written for; they do not compile beside another one.
const schema = 1
