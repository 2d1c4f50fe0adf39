// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// func cloneProgram(args *cloneArgs, size uintptr, program *op) uintptr
TEXT ·cloneProgram(SB), NOSPLIT, $0-32
	MOVD args+0(FP), R0
	MOVD size+8(FP), R1
	MOVD program+16(FP), R9
	MOVD $435, R8 // clone3
	SVC
	CBZ  R0, next
	MOVD R0, ret+24(FP)
	RET
next:
	MOVD 0(R9), R8
	CMN  $1, R8
	BEQ  jump
	MOVD 8(R9), R0
	MOVD 16(R9), R1
	MOVD 24(R9), R2
	MOVD 32(R9), R3
	MOVD 40(R9), R4
	MOVD 48(R9), R5
	SVC
	MOVD R0, 56(R9)
	ADD  $64, R9
	B    next
jump:
	MOVD 8(R9), R9
	B    next
