// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// func forkInt80() int
// The child, a copy of this process with one thread, makes a 32-bit getpid and exits.
TEXT ·forkInt80(SB), NOSPLIT, $0-8
	MOVL $57, AX // fork
	SYSCALL
	TESTQ AX, AX
	JNZ  parent
	MOVL $20, AX // getpid of 32-bit tasks
	INT  $0x80
	MOVL $60, AX // exit
	XORL DI, DI
	SYSCALL
	INT  $3
parent:
	MOVQ AX, ret+0(FP)
	RET
