// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// func Int80(nr uint32, args *[6]uint32) int32
// The frame saves BP, which has the sixth argument.
TEXT ·Int80(SB), NOSPLIT, $8-20
	MOVL nr+0(FP), AX
	MOVQ args+8(FP), R12
	MOVL 0(R12), BX
	MOVL 4(R12), CX
	MOVL 8(R12), DX
	MOVL 12(R12), SI
	MOVL 16(R12), DI
	MOVL 20(R12), BP
	INT  $0x80
	MOVL AX, ret+16(FP)
	RET
