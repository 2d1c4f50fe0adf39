// SPDX-License-Identifier: Apache-2.0

package event

// schema is the layout of table_gen.go and decode_gen.go that this package expects.
// Generated files of another layout do not compile with it.
const schema = 1
