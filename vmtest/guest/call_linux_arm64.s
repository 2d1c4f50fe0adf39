// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// func cloneCall(nr uintptr, args *[6]uintptr) uintptr
// The new task may share our stack and memory, so it touches neither, but for what childWrite says.
TEXT ·cloneCall(SB), NOSPLIT, $0-24
	MOVD nr+0(FP), R8
	MOVD args+8(FP), R9
	MOVD 0(R9), R0
	MOVD 8(R9), R1
	MOVD 16(R9), R2
	MOVD 24(R9), R3
	MOVD 32(R9), R4
	MOVD 40(R9), R5
	SVC
	CBZ  R0, child
	MOVD R0, ret+16(FP)
	RET
child:
	MOVD ·childWrite+0(SB), R1
	CBZ  R1, quit
	MOVD ·childWrite+8(SB), R2
	MOVD R2, 0(R1)
quit:
	MOVD $93, R8 // exit
	MOVD $0, R0
	SVC
	BRK
