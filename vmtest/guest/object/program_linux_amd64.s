// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// func cloneProgram(args *cloneArgs, size uintptr, program *op) uintptr
TEXT ·cloneProgram(SB), NOSPLIT, $0-32
	MOVQ args+0(FP), DI
	MOVQ size+8(FP), SI
	MOVQ program+16(FP), BX
	MOVL $435, AX // clone3
	SYSCALL
	TESTQ AX, AX
	JZ   next
	MOVQ AX, ret+24(FP)
	RET
next:
	MOVQ 0(BX), AX
	CMPQ AX, $-1
	JEQ  jump
	MOVQ 8(BX), DI
	MOVQ 16(BX), SI
	MOVQ 24(BX), DX
	MOVQ 32(BX), R10
	MOVQ 40(BX), R8
	MOVQ 48(BX), R9
	SYSCALL
	MOVQ AX, 56(BX)
	ADDQ $64, BX
	JMP  next
jump:
	MOVQ 8(BX), BX
	JMP  next
